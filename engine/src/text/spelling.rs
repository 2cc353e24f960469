//! Which bytes each token stands for.
//!
//! Vocabularies write bytes as text in one of two ways. Byte-level BPE gives each of the 256 bytes a printable character
//! of its own (Radford et al. 2019; the table is GPT-2's). SentencePiece writes characters as they are, a space as U+2581,
//! and a byte that no token covers as `<0x0A>`. Which one it is stands in the `decoder` of `tokenizer.json`.

use std::ops::Range;

use serde_json::Value;

use crate::{Error, Result};

/// The largest id that is believed, so that one wild number cannot claim all memory.
const IDS_MAX: usize = 1 << 22;

/// How a vocabulary writes bytes as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spelling {
    /// Each character is a byte of GPT-2's table.
    pub byte_level: bool,
    /// `<0x0A>` is a byte.
    pub byte_fallback: bool,
    /// What is written differently: (in the vocabulary, in text).
    pub replacements: Vec<(String, String)>,
    /// How many spaces the tokenizer puts before a text; decoding takes them away.
    pub leading_spaces: usize,
}

impl Spelling {
    /// From the `decoder` of a `tokenizer.json`.
    pub(super) fn from_decoder(decoder: &Value) -> Result<Self> {
        let mut spelling = Self::default();
        spelling.add_decoder(decoder)?;
        Ok(spelling)
    }

    fn add_decoder(&mut self, decoder: &Value) -> Result<()> {
        let text = |field: &str| decoder[field].as_str().unwrap_or_default().to_owned();
        match decoder["type"].as_str() {
            None | Some("Fuse") => {}
            Some("ByteLevel") => self.byte_level = true,
            // Where a piece continues a word is not shown: texts are only read, never written, with these.
            Some("WordPiece") => self.replacements.push((text("prefix"), String::new())),
            Some("ByteFallback") => self.byte_fallback = true,
            Some("Sequence") => {
                for part in decoder["decoders"].as_array().into_iter().flatten() {
                    self.add_decoder(part)?;
                }
            }
            Some("Metaspace") => {
                self.replacements.push((text("replacement"), " ".to_owned()));
                self.leading_spaces += usize::from(text("prepend_scheme") != "never");
            }
            Some("Replace") if decoder["pattern"]["String"].is_string() => {
                let pattern = decoder["pattern"]["String"].as_str().unwrap_or_default();
                self.replacements.push((pattern.to_owned(), text("content")));
            }
            Some("Strip") if text("content") == " " && decoder["stop"] == 0 => {
                self.leading_spaces += decoder["start"].as_u64().unwrap_or(0) as usize;
            }
            Some(other) => {
                return Err(Error::Tokenizer { reason: format!("its decoder {other:?} is not known") });
            }
        }
        Ok(())
    }

    /// The bytes of a token of the model's vocabulary.
    fn to_bytes(&self, token: &str) -> Vec<u8> {
        if self.byte_fallback
            && let Some(byte) = fallback_byte(token)
        {
            return vec![byte];
        }
        if self.byte_level
            && let Some(bytes) = token.chars().map(byte_of).collect()
        {
            return bytes;
        }
        let replaced = self.replacements.iter().fold(token.to_owned(), |text, (from, to)| text.replace(from, to));
        replaced.into_bytes()
    }
}

/// The byte that a token like `<0x0A>` stands for.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The byte that a character of GPT-2's table stands for. Printable bytes of Latin-1 stand for themselves; the other 68
/// are the code points from 256 on, in order.
fn byte_of(character: char) -> Option<u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(character) {
        code @ 0..256 => Some(code as u8).filter(|byte| is_printable(*byte)),
        code => (0..=u8::MAX).filter(|byte| !is_printable(*byte)).nth(code as usize - 256),
    }
}

/// The bytes of all tokens, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    /// By id.
    tokens: Vec<Option<Span>>,
}

#[derive(Clone, Debug)]
struct Span {
    bytes: Range<u32>,
    is_special: bool,
}

impl TokenBytes {
    /// Adds a token of the model's vocabulary.
    pub(super) fn insert(&mut self, id: u32, token: &str, spelling: &Spelling) -> Result<()> {
        self.set(id, &spelling.to_bytes(token), false)
    }

    /// Adds a token that stands beside the vocabulary and is written as it is.
    pub(super) fn insert_added(&mut self, id: u32, token: &str, is_special: bool) -> Result<()> {
        self.set(id, token.as_bytes(), is_special)
    }

    fn set(&mut self, id: u32, bytes: &[u8], is_special: bool) -> Result<()> {
        let index = id as usize;
        let start = self.bytes.len();
        if index >= IDS_MAX || u32::try_from(start + bytes.len()).is_err() {
            return Err(Error::Tokenizer {
                reason: format!("a token has the id {id}; at most {IDS_MAX} are possible"),
            });
        }
        if self.tokens.len() <= index {
            self.tokens.resize(index + 1, None);
        }
        self.bytes.extend_from_slice(bytes);
        self.tokens[index] = Some(Span { bytes: start as u32..self.bytes.len() as u32, is_special });
        Ok(())
    }

    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let span = self.tokens.get(id as usize)?.as_ref()?;
        self.bytes.get(span.bytes.start as usize..span.bytes.end as usize)
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        matches!(self.tokens.get(id as usize), Some(Some(span)) if span.is_special)
    }

    /// One more than the greatest id.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    use super::*;

    #[test]
    fn the_byte_table_is_a_bijection_onto_the_alphabet_of_the_pre_tokenizer() {
        let table: BTreeMap<u8, char> =
            ByteLevel::alphabet().into_iter().map(|character| (byte_of(character).unwrap(), character)).collect();
        assert_eq!(table.len(), 256);
        assert_eq!((table[&b' '], table[&b'\n'], table[&b'a'], table[&0xAD]), ('Ġ', 'Ċ', 'a', 'Ń'));
        assert_eq!((byte_of(' '), byte_of('\u{AD}'), byte_of('ń'), byte_of('▁')), (None, None, None, None));
    }

    #[test]
    fn decoders_of_both_families_are_understood() {
        let spelling = Spelling::from_decoder(&json!({"type": "ByteLevel"})).unwrap();
        assert_eq!(spelling.to_bytes("Ġcaf"), b" caf");
        assert_eq!(spelling.to_bytes("Ã"), [0xC3]);
        let spelling = Spelling::from_decoder(&json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]}))
        .unwrap();
        assert_eq!((spelling.to_bytes("▁the"), spelling.to_bytes("<0xE2>")), (b" the".to_vec(), vec![0xE2]));
        assert_eq!((spelling.to_bytes("<0xXY>"), spelling.leading_spaces), (b"<0xXY>".to_vec(), 1));
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": true});
        assert_eq!(Spelling::from_decoder(&metaspace).unwrap().leading_spaces, 0);
    }

    #[test]
    fn an_unknown_decoder_and_a_wild_id_are_refused() {
        let error = Spelling::from_decoder(&json!({"type": "CTC"})).unwrap_err();
        assert!(error.to_string().contains("CTC"), "{error}");
        let mut tokens = TokenBytes::default();
        assert!(tokens.insert_added(u32::MAX, "x", true).is_err());
        assert_eq!(tokens.len(), 0);
    }
}
