//! Between text and tokens: tokenizer, chat template, and text that arrives a few bytes at a time.

mod gguf_vocab;
mod guard;
mod hf_config;
mod spelling;
mod stream;
mod template;
mod tokenizer;
mod tokenizer_json;

pub use stream::TextStream;
pub use template::{ChatTemplate, LocalTime};
pub use tokenizer::{EncodeOptions, Tokenizer};
