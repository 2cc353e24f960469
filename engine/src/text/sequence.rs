//! A text as an encoder reads it: whole, with a special token at each end.

use super::{EncodeOptions, Tokenizer};
use crate::Result;

/// A whole text's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// With those that begin and end each text.
    pub ids: Vec<u32>,
    /// How many there would be had nothing been cut.
    pub whole_tokens: usize,
}

impl Sequence {
    /// Whether the text was cut.
    pub fn is_truncated(&self) -> bool {
        self.whole_tokens > self.ids.len()
    }
}

impl Tokenizer {
    /// The tokens of a whole text, at most so many: a longer text loses its end, but not the token behind it. Special
    /// tokens that the text spells out stay plain text.
    pub fn encode_sequence(&self, text: &str, tokens_max: usize) -> Result<Sequence> {
        let mut text_ids = self.encode(text, EncodeOptions::PLAIN)?;
        let around = self.prefix.len() + self.suffix.len();
        let whole_tokens = text_ids.len() + around;
        text_ids.truncate(tokens_max.saturating_sub(around));
        let ids = self.prefix.iter().copied().chain(text_ids).chain(self.suffix.iter().copied());
        Ok(Sequence { ids: ids.collect(), whole_tokens })
    }
}
