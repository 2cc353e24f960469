//! Between text and tokens: tokenizer, chat template, and text that arrives a few bytes at a time.
//!
//! ```text
//! messages -> ChatTemplate -> text -> Tokenizer -> ids -> the model -> id -> TextStream -> text
//! ```
//!
//! A [`Tokenizer`] comes from `tokenizer.json`, or from the vocabulary in a GGUF file where that is byte-level BPE or
//! SentencePiece's. A [`ChatTemplate`] is the Jinja text that the model brings. Who speaks is marked by special tokens,
//! and those come from the template alone: whatever a person writes stays text ([`Tokenizer::encode_chat`]). On the way
//! back, a [`TextStream`] holds the bytes of a character until it is whole, and what the model [thinks](reasoning) and the
//! functions that it [calls](tool_calls) are taken out of its words.

mod gguf_vocab;
mod guard;
mod hf_config;
mod partial;
pub mod reasoning;
mod sentence_piece;
mod sequence;
mod spelling;
mod stream;
mod template;
mod tokenizer;
mod tokenizer_json;
pub mod tool_calls;

pub use sequence::Sequence;
pub use stream::TextStream;
pub use template::{ChatInput, ChatTemplate, LocalTime};
pub use tokenizer::{EncodeOptions, Tokenizer};
