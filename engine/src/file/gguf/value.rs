//! What a GGUF file says about itself: keys and typed values.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// One value of a GGUF file's metadata.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is the type of its name")]
pub enum GgufValue {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(GgufArray),
}

/// An array of a GGUF file's metadata: all elements have one type, so that a million small numbers take the memory
/// they take in the file.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is the type of its name")]
pub enum GgufArray {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<GgufArray>),
}

impl GgufArray {
    /// How many elements it has.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::String(values) => values.len(),
            Self::Array(values) => values.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The metadata of a GGUF file, in the order of the keys' names. Each getter has two forms: `find_*` gives `None` if
/// the key is absent, the plain one an error that names the key; both give an error if the value has another type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufMetadata {
    values: BTreeMap<String, GgufValue>,
}

/// A key that is absent.
fn absent(key: &str) -> Error {
    Error::config(key, "is missing")
}

/// A value of another type than the key promises.
fn mistyped(key: &str, wanted: &str) -> Error {
    Error::config(key, format_args!("is not {wanted}"))
}

impl GgufMetadata {
    /// Sets a value, and gives the one that it replaces.
    pub fn insert(&mut self, key: impl Into<String>, value: GgufValue) -> Option<GgufValue> {
        self.values.insert(key.into(), value)
    }

    /// The value as it is.
    pub fn get(&self, key: &str) -> Option<&GgufValue> {
        self.values.get(key)
    }

    /// All keys and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &GgufValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A whole number of any width, if it is not negative.
    pub fn find_u64(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let found = match *value {
            GgufValue::U8(value) => Some(value.into()),
            GgufValue::U16(value) => Some(value.into()),
            GgufValue::U32(value) => Some(value.into()),
            GgufValue::U64(value) => Some(value),
            GgufValue::I8(value) => value.try_into().ok(),
            GgufValue::I16(value) => value.try_into().ok(),
            GgufValue::I32(value) => value.try_into().ok(),
            GgufValue::I64(value) => value.try_into().ok(),
            _ => None,
        };
        found.map(Some).ok_or_else(|| mistyped(key, "a whole number of 0 or more"))
    }

    /// See [`Self::find_u64`].
    pub fn u64(&self, key: &str) -> Result<u64> {
        self.find_u64(key)?.ok_or_else(|| absent(key))
    }

    /// A whole number of any width that fits 32 bits.
    pub fn find_u32(&self, key: &str) -> Result<Option<u32>> {
        self.find_u64(key)?
            .map(|value| u32::try_from(value).map_err(|_| Error::config(key, format_args!("is {value}: too large"))))
            .transpose()
    }

    /// See [`Self::find_u32`].
    pub fn u32(&self, key: &str) -> Result<u32> {
        self.find_u32(key)?.ok_or_else(|| absent(key))
    }

    /// A floating-point number of either width; whole numbers are not taken for one.
    pub fn find_f32(&self, key: &str) -> Result<Option<f32>> {
        match self.get(key) {
            None => Ok(None),
            Some(GgufValue::F32(value)) => Ok(Some(*value)),
            Some(GgufValue::F64(value)) => Ok(Some(*value as f32)),
            Some(_) => Err(mistyped(key, "a floating-point number")),
        }
    }

    /// See [`Self::find_f32`].
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.find_f32(key)?.ok_or_else(|| absent(key))
    }

    /// True or false.
    pub fn find_bool(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(GgufValue::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(mistyped(key, "true or false")),
        }
    }

    /// See [`Self::find_bool`].
    pub fn bool(&self, key: &str) -> Result<bool> {
        self.find_bool(key)?.ok_or_else(|| absent(key))
    }

    /// A text.
    pub fn find_string(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(GgufValue::String(value)) => Ok(Some(value)),
            Some(_) => Err(mistyped(key, "a text")),
        }
    }

    /// See [`Self::find_string`].
    pub fn string(&self, key: &str) -> Result<&str> {
        self.find_string(key)?.ok_or_else(|| absent(key))
    }

    /// An array of anything.
    pub fn find_array(&self, key: &str) -> Result<Option<&GgufArray>> {
        match self.get(key) {
            None => Ok(None),
            Some(GgufValue::Array(values)) => Ok(Some(values)),
            Some(_) => Err(mistyped(key, "an array")),
        }
    }

    /// See [`Self::find_array`].
    pub fn array(&self, key: &str) -> Result<&GgufArray> {
        self.find_array(key)?.ok_or_else(|| absent(key))
    }

    /// An array of texts.
    pub fn find_strings(&self, key: &str) -> Result<Option<&[String]>> {
        match self.find_array(key)? {
            None => Ok(None),
            Some(GgufArray::String(values)) => Ok(Some(values)),
            Some(_) => Err(mistyped(key, "an array of texts")),
        }
    }

    /// See [`Self::find_strings`].
    pub fn strings(&self, key: &str) -> Result<&[String]> {
        self.find_strings(key)?.ok_or_else(|| absent(key))
    }

    /// An array of 32-bit floating-point numbers.
    pub fn find_f32s(&self, key: &str) -> Result<Option<&[f32]>> {
        match self.find_array(key)? {
            None => Ok(None),
            Some(GgufArray::F32(values)) => Ok(Some(values)),
            Some(_) => Err(mistyped(key, "an array of 32-bit floating-point numbers")),
        }
    }

    /// An array of bytes; with a sign or without, as files differ in that.
    pub fn find_bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match self.find_array(key)? {
            None => Ok(None),
            Some(GgufArray::U8(values)) => Ok(Some(values.clone())),
            Some(GgufArray::I8(values)) => Ok(Some(values.iter().map(|value| value.cast_unsigned()).collect())),
            Some(_) => Err(mistyped(key, "an array of bytes")),
        }
    }

    /// An array of 32-bit whole numbers with a sign.
    pub fn find_i32s(&self, key: &str) -> Result<Option<&[i32]>> {
        match self.find_array(key)? {
            None => Ok(None),
            Some(GgufArray::I32(values)) => Ok(Some(values)),
            Some(_) => Err(mistyped(key, "an array of 32-bit whole numbers")),
        }
    }
}
