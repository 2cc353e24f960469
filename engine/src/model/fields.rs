//! The fields of a configuration in JSON. A field that is null counts as absent; one of another type than expected is an
//! error that names it.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// An object of a configuration.
#[derive(Clone, Debug)]
pub struct Fields(Map<String, Value>);

fn mistyped(field: &str, wanted: &str) -> Error {
    Error::config(field, format_args!("is not {wanted}"))
}

fn to_u32(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

impl Fields {
    /// Of a file's text.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        serde_json::from_str(text).map(Self).map_err(|error| Error::malformed(file, error))
    }

    fn find<'a, T>(
        &'a self,
        field: &str,
        wanted: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => convert(value).map(Some).ok_or_else(|| mistyped(field, wanted)),
        }
    }

    /// A whole number.
    pub fn u32(&self, field: &str) -> Result<Option<u32>> {
        self.find(field, "a whole number of 0 or more", to_u32)
    }

    /// A number.
    pub fn f64(&self, field: &str) -> Result<Option<f64>> {
        self.find(field, "a number", Value::as_f64)
    }

    /// True or false.
    pub fn bool(&self, field: &str) -> Result<Option<bool>> {
        self.find(field, "true or false", Value::as_bool)
    }

    /// A text.
    pub fn string(&self, field: &str) -> Result<Option<&str>> {
        self.find(field, "a text", Value::as_str)
    }

    /// A list of texts.
    pub fn strings(&self, field: &str) -> Result<Option<Vec<&str>>> {
        self.find(field, "a list of texts", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    /// A list of numbers.
    pub fn f64s(&self, field: &str) -> Result<Option<Vec<f64>>> {
        self.find(field, "a list of numbers", |value| value.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// A list of whole numbers, or one of them.
    pub fn u32s(&self, field: &str) -> Result<Option<Vec<u32>>> {
        self.find(field, "a whole number or a list of them", |value| match value {
            Value::Array(values) => values.iter().map(to_u32).collect(),
            value => to_u32(value).map(|number| vec![number]),
        })
    }

    /// An object.
    pub fn object(&self, field: &str) -> Result<Option<Self>> {
        self.find(field, "an object", |value| value.as_object().cloned().map(Self))
    }

    /// Whether it is there, even as null.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// Whether it is there and says something: not null, not false.
    pub fn is_set(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    }
}

/// A value that must be there.
pub fn need<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Error::config(field, "is missing"))
}
