//! SentencePiece's `tokenizer.model`: as much of Protocol Buffers as it takes to read one message of three fields
//! (`sentencepiece_model.proto`; the wire format is at protobuf.dev/programming-guides/encoding).

use super::{Charsmap, Kind, Piece, Rules, Vocabulary};
use crate::{Error, Result};

const FILE: &str = "tokenizer.model";

/// A field's number, and what it holds.
struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

/// A field's value; texts and messages are bytes.
enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
    Other,
}

impl Value<'_> {
    fn as_bool(&self, default: bool) -> bool {
        if let Self::Varint(value) = self { *value != 0 } else { default }
    }

    /// Ids are signed: -1 stands for none, and is written as its two's complement.
    fn as_id(&self) -> Option<u32> {
        if let Self::Varint(value) = self { u32::try_from(*value).ok() } else { None }
    }
}

/// The fields of a message, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::malformed(FILE, "a number has more than ten bytes"))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(count).ok().and_then(|count| self.0.split_at_checked(count));
        let (taken, rest) = split.ok_or_else(|| Error::malformed(FILE, "it ends in the middle of a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<Field<'a>> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let count = self.varint()?;
                Value::Bytes(self.take(count)?)
            }
            5 => Value::Fixed32(self.take(4)?.try_into().unwrap_or_default()),
            other => return Err(Error::malformed(FILE, format_args!("a field is of the unknown wire type {other}"))),
        };
        Ok(Field { number: tag >> 3, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Reads the whole file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vocabulary> {
    let mut vocabulary = Vocabulary::default();
    for field in Fields(bytes) {
        let Field { number, value: Value::Bytes(message) } = field? else { continue };
        match number {
            1 => vocabulary.pieces.push(piece(message)?),
            2 => trainer(message, &mut vocabulary)?,
            3 => rules(message, &mut vocabulary.rules)?,
            _ => {}
        }
    }
    if vocabulary.pieces.is_empty() {
        return Err(Error::malformed(FILE, "it holds no pieces"));
    }
    Ok(vocabulary)
}

/// `ModelProto.SentencePiece`.
fn piece(message: &[u8]) -> Result<Piece> {
    let mut piece = Piece::default();
    for field in Fields(message) {
        match field? {
            Field { number: 1, value: Value::Bytes(text) } => {
                let text = std::str::from_utf8(text).map_err(|error| Error::malformed(FILE, error))?;
                piece.text = text.to_owned();
            }
            Field { number: 2, value: Value::Fixed32(score) } => piece.score = f32::from_le_bytes(score),
            Field { number: 3, value: Value::Varint(kind) } => {
                piece.kind = match kind {
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => Kind::Normal,
                }
            }
            _ => {}
        }
    }
    Ok(piece)
}

/// `TrainerSpec`: which model, and which ids have a role.
fn trainer(message: &[u8], vocabulary: &mut Vocabulary) -> Result<()> {
    for field in Fields(message) {
        let Field { number, value } = field?;
        match number {
            3 => match value {
                Value::Varint(1) => vocabulary.is_unigram = true,
                Value::Varint(2) => vocabulary.is_unigram = false,
                _ => {
                    let reason = "tokenizer.model cuts text into words or characters; only BPE and Unigram are known";
                    return Err(Error::Tokenizer { reason: reason.to_owned() });
                }
            },
            35 => vocabulary.byte_fallback = value.as_bool(false),
            41 => vocabulary.bos = value.as_id(),
            42 => vocabulary.eos = value.as_id(),
            _ => {}
        }
    }
    Ok(())
}

/// `NormalizerSpec`.
fn rules(message: &[u8], rules: &mut Rules) -> Result<()> {
    for field in Fields(message) {
        let Field { number, value } = field?;
        match (number, value) {
            (2, Value::Bytes([])) => rules.charsmap = None,
            (2, Value::Bytes(bytes)) => {
                rules.charsmap = Some(Charsmap::parse(bytes).map_err(|reason| Error::malformed(FILE, reason))?);
            }
            (3, value) => rules.add_prefix = value.as_bool(true),
            (4, value) => rules.remove_extra_spaces = value.as_bool(true),
            _ => {}
        }
    }
    Ok(())
}
