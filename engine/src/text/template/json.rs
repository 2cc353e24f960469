//! `tojson` as transformers defines it: Python's `json.dumps`, nothing escaped for HTML.

use std::fmt::Write;

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, ValueKind},
};

use super::python;

/// Deeper values are refused: each level takes a frame of the stack.
const DEPTH_MAX: usize = 128;
/// What writing a byte costs, as a fraction of a step of the template.
const BYTES_A_STEP: usize = 64;

/// The filter: `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn to_json(
    state: &State,
    value: &Value,
    ensure_ascii: Option<Value>,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let given = |positional: Option<Value>, name: &str| match positional {
        Some(value) => Ok(Some(value)),
        None => options.get::<Option<Value>>(name),
    };
    let ensure_ascii = given(ensure_ascii, "ensure_ascii")?.is_some_and(|value| value.is_true());
    let indent =
        given(indent, "indent")?.filter(|value| !value.is_none()).map(|value| indentation(&value)).transpose()?;
    let separators: Option<Value> = options.get("separators")?;
    let sort_keys = options.get::<Option<Value>>("sort_keys")?.is_some_and(|value| value.is_true());
    options.assert_all_used()?;
    let (item, key) = match separators.filter(|value| !value.is_none()) {
        Some(pair) => (text_of(&pair.get_item_by_index(0)?)?, text_of(&pair.get_item_by_index(1)?)?),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let mut writer = Writer { state, text: String::new(), charged: 0, ensure_ascii, indent, item, key, sort_keys };
    writer.value(value, 0)?;
    Ok(Value::from(writer.text))
}

/// Spaces, or any text that Python would take for `indent`.
fn indentation(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(" ".repeat(usize::try_from(value.clone())?.min(64))),
    }
}

fn text_of(value: &Value) -> Result<String, Error> {
    value.as_str().map(str::to_owned).ok_or_else(|| refused("separators are texts"))
}

fn refused(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadSerialization, reason.into())
}

struct Writer<'a, 'template, 'env> {
    state: &'a State<'template, 'env>,
    text: String,
    /// How much of `text` has been paid for.
    charged: usize,
    ensure_ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(refused(format!("more than {DEPTH_MAX} levels")));
        }
        let grown = (self.text.len() - self.charged) / BYTES_A_STEP;
        self.state.consume_fuel(grown as u64)?;
        self.charged += grown * BYTES_A_STEP;
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&number(value)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq => self.sequence(value, depth)?,
            ValueKind::Map => self.map(value, depth)?,
            ValueKind::Plain if let Some(python::Extreme(number)) = value.downcast_object_ref() => {
                self.text.push_str(&python::float(*number));
            }
            kind => return Err(refused(format!("an object of type {kind} is not JSON serializable"))),
        }
        Ok(())
    }

    fn sequence(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.text.push('[');
        let mut is_empty = true;
        for item in value.try_iter()? {
            self.begin_item(is_empty, depth + 1);
            is_empty = false;
            self.value(&item, depth + 1)?;
        }
        self.end(']', is_empty, depth);
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        self.text.push('{');
        let is_empty = keys.is_empty();
        for (index, key) in keys.iter().enumerate() {
            self.begin_item(index == 0, depth + 1);
            match key.kind() {
                ValueKind::String => self.string(key.as_str().unwrap_or_default()),
                ValueKind::None => self.text.push_str("\"null\""),
                ValueKind::Bool => self.text.push_str(if key.is_true() { "\"true\"" } else { "\"false\"" }),
                ValueKind::Number => self.string(&number(key)),
                kind => return Err(refused(format!("a key cannot be of type {kind}"))),
            }
            let separator = self.key.clone();
            self.text.push_str(&separator);
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.end('}', is_empty, depth);
        Ok(())
    }

    fn begin_item(&mut self, is_first: bool, depth: usize) {
        if !is_first {
            self.text.push_str(&self.item);
        }
        self.line(depth);
    }

    fn end(&mut self, bracket: char, is_empty: bool, depth: usize) {
        if !is_empty {
            self.line(depth);
        }
        self.text.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.text.push('\n');
            (0..depth).for_each(|_| self.text.push_str(indent));
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                character if character < ' ' || (self.ensure_ascii && !character.is_ascii()) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        // Writing to a string cannot fail.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
                character => self.text.push(character),
            }
        }
        self.text.push('"');
    }
}

/// A number as Python's JSON writes it.
fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => match float {
            float if float.is_nan() => "NaN".to_owned(),
            float if float.is_infinite() => if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
            float => python::float(float),
        },
        _ => value.to_string(),
    }
}
