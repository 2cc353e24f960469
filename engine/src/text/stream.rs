//! Tokens to text, as they come.

use super::Tokenizer;

/// Turns tokens into text one at a time and holds back the bytes of a character that is not whole yet.
///
/// A token of a byte-level vocabulary may end in the middle of a character, which the next one completes; what comes
/// out here is always whole. Bytes that can never become a character come out as U+FFFD, as soon as that is certain.
/// Special tokens and unknown ids give nothing. All pieces together are the text that [`Tokenizer::decode`] gives.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    /// The first bytes of a character that is not whole yet: 3 at most.
    pending: Vec<u8>,
    /// How many leading spaces have been taken away already; `None` if all are to be kept.
    stripped: Option<usize>,
    /// Special tokens that are written out.
    shown: Vec<u32>,
}

impl TextStream {
    /// For a text that begins with the first token pushed: a chat's answer.
    pub fn new() -> Self {
        Self { stripped: Some(0), ..Self::default() }
    }

    /// For a text that continues another: what a raw prompt is completed with. Differs from [`Self::new`] only for
    /// tokenizers that put a space before each text's first word: there that space is kept.
    pub fn continuing() -> Self {
        Self::default()
    }

    /// The same, but with some special tokens spelled out: those that mark calls of functions.
    pub fn showing(self, specials: Vec<u32>) -> Self {
        Self { shown: specials, ..self }
    }

    /// The text that this token completes; often empty.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        let is_shown = !tokenizer.is_special(id) || self.shown.contains(&id);
        let Some(mut bytes) = tokenizer.token_bytes(id).filter(|_| is_shown) else {
            return String::new();
        };
        if let Some(stripped) = &mut self.stripped {
            while *stripped < tokenizer.leading_spaces()
                && let Some(rest) = bytes.strip_prefix(b" ")
            {
                *stripped += 1;
                bytes = rest;
            }
            if !bytes.is_empty() {
                self.stripped = None;
            }
        }
        self.pending.extend_from_slice(bytes);
        self.take_whole_characters()
    }

    /// What is left when no more tokens come: a replacement character if a character stayed incomplete.
    pub fn finish(&mut self) -> String {
        let left = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        left
    }

    /// Takes all of `pending` but the beginning of a character that may still become whole.
    fn take_whole_characters(&mut self) -> String {
        let mut text = String::with_capacity(self.pending.len());
        let mut taken = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            let broken = chunk.invalid();
            let is_last = taken + broken.len() == self.pending.len();
            if is_last && is_incomplete(broken) {
                break;
            }
            if !broken.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                taken += broken.len();
            }
        }
        self.pending.drain(..taken);
        text
    }
}

/// Whether more bytes could make a character of these.
fn is_incomplete(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
