//! Writes a small GGUF file in memory: for tests, and to hand a model of the project to other programs.

use super::{DEFAULT_ALIGNMENT, GgufArray, GgufMetadata, GgufValue, types::type_of};
use crate::tensor::Format;

/// A tensor to write.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufTensor {
    /// Its name.
    pub name: String,
    /// Rows first, as in [`crate::file::TensorInfo`].
    pub shape: Vec<u64>,
    /// How `bytes` are to be read.
    pub format: Format,
    /// All rows as stored.
    pub bytes: Vec<u8>,
}

/// The bytes of a GGUF file, version 3, with an alignment of 32 bytes. It writes what it is given, `general.alignment`
/// included, so that tests can also write files that are wrong.
pub fn write_gguf(metadata: &GgufMetadata, tensors: &[GgufTensor]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        write_string(&mut out, key);
        write_value(&mut out, value);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        write_string(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        out.extend(tensor.shape.iter().rev().flat_map(|side| side.to_le_bytes()));
        out.extend(type_of(tensor.format).to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += (tensor.bytes.len() as u64).next_multiple_of(DEFAULT_ALIGNMENT);
    }
    for tensor in tensors {
        pad(&mut out);
        out.extend(&tensor.bytes);
    }
    pad(&mut out);
    out
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A type and a value.
fn write_value(out: &mut Vec<u8>, value: &GgufValue) {
    let mut plain = |type_id: u32, bytes: &[u8]| {
        out.extend(type_id.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        GgufValue::U8(value) => plain(0, &value.to_le_bytes()),
        GgufValue::I8(value) => plain(1, &value.to_le_bytes()),
        GgufValue::U16(value) => plain(2, &value.to_le_bytes()),
        GgufValue::I16(value) => plain(3, &value.to_le_bytes()),
        GgufValue::U32(value) => plain(4, &value.to_le_bytes()),
        GgufValue::I32(value) => plain(5, &value.to_le_bytes()),
        GgufValue::F32(value) => plain(6, &value.to_le_bytes()),
        GgufValue::Bool(value) => plain(7, &[u8::from(*value)]),
        GgufValue::U64(value) => plain(10, &value.to_le_bytes()),
        GgufValue::I64(value) => plain(11, &value.to_le_bytes()),
        GgufValue::F64(value) => plain(12, &value.to_le_bytes()),
        GgufValue::String(value) => {
            plain(8, &[]);
            write_string(out, value);
        }
        GgufValue::Array(values) => {
            plain(9, &[]);
            write_array(out, values);
        }
    }
}

/// A type, a count and the values.
fn write_array(out: &mut Vec<u8>, values: &GgufArray) {
    let (type_id, bytes) = match values {
        GgufArray::U8(values) => (0, values.clone()),
        GgufArray::I8(values) => (1, flatten(values, i8::to_le_bytes)),
        GgufArray::U16(values) => (2, flatten(values, u16::to_le_bytes)),
        GgufArray::I16(values) => (3, flatten(values, i16::to_le_bytes)),
        GgufArray::U32(values) => (4, flatten(values, u32::to_le_bytes)),
        GgufArray::I32(values) => (5, flatten(values, i32::to_le_bytes)),
        GgufArray::F32(values) => (6, flatten(values, f32::to_le_bytes)),
        GgufArray::Bool(values) => (7, flatten(values, |value| [u8::from(value)])),
        GgufArray::String(values) => (8, collect(values, |out, value| write_string(out, value))),
        GgufArray::Array(values) => (9, collect(values, write_array)),
        GgufArray::U64(values) => (10, flatten(values, u64::to_le_bytes)),
        GgufArray::I64(values) => (11, flatten(values, i64::to_le_bytes)),
        GgufArray::F64(values) => (12, flatten(values, f64::to_le_bytes)),
    };
    out.extend(u32::to_le_bytes(type_id));
    out.extend((values.len() as u64).to_le_bytes());
    out.extend(bytes);
}

/// Numbers one behind the other.
fn flatten<T: Copy, const N: usize>(values: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| to_bytes(*value)).collect()
}

/// Values of no fixed length one behind the other.
fn collect<T>(values: &[T], write: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        write(&mut out, value);
    }
    out
}
