//! `tojson` as transformers defines it: Python's notation, nothing escaped for HTML.

use std::io;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ViaDeserialize},
};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// The filter. Of Python's options `indent` and `sort_keys` are honoured; `ensure_ascii` and `separators` are accepted.
pub(super) fn to_json(value: ViaDeserialize<serde_json::Value>, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    let _: (Option<Value>, Option<Value>) = (options.get("ensure_ascii")?, options.get("separators")?);
    options.assert_all_used()?;
    let mut value = value.0;
    if sort_keys == Some(true) {
        value.sort_all_objects();
    }
    let text = match indent {
        None => write(&value, Spaced),
        Some(width) => write(&value, PrettyFormatter::with_indent(" ".repeat(width.min(16)).as_bytes())),
    };
    text.map(Value::from).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

fn write(value: &serde_json::Value, formatter: impl Formatter) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Python's `json.dumps` puts a space behind each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
