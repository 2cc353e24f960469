//! Calls whose texts stand between marks rather than in quotes: Gemma 4's.
//!
//! `call:weather{city:<|"|>Bern<|"|>,days:2,flags:[true,null]}`. A text between marks is taken as it is, so nothing in it
//! is escaped.

use serde_json::{Map, Value};

use super::parser::Call;

/// Lists and objects in each other; what is nested deeper is no call.
const DEPTH_MAX: usize = 64;

/// Reads a whole call.
pub(super) fn call(text: &str, head: &str, quote: &'static str) -> Option<Call> {
    let rest = text.trim().strip_prefix(head)?;
    let (name, _) = rest.split_once('{')?;
    let mut reader = Reader { rest: &rest[name.len()..], quote };
    let arguments = reader.value(0)?;
    let name = name.trim();
    let is_whole = reader.rest.trim().is_empty() && !name.is_empty() && !name.contains(char::is_whitespace);
    is_whole.then(|| Call { id: None, name: name.to_owned(), arguments })
}

struct Reader<'a> {
    rest: &'a str,
    quote: &'static str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek()? {
            _ if depth > DEPTH_MAX => None,
            '{' => self.object(depth),
            '[' => self.list(depth),
            _ if self.is_text() => self.text().map(Value::String),
            _ => Some(plain(self.until(&[',', ']', '}']))),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut fields = Map::new();
        self.take('{')?;
        while self.peek()? != '}' {
            let key = if self.is_text() { self.text()? } else { self.until(&[':', ',', '}']).trim().to_owned() };
            self.take(':')?;
            let value = self.value(depth + 1)?;
            fields.insert(key, value);
            if self.peek()? != '}' {
                self.take(',')?;
            }
        }
        self.take('}')?;
        Some(Value::Object(fields))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut values = Vec::new();
        self.take('[')?;
        while self.peek()? != ']' {
            values.push(self.value(depth + 1)?);
            if self.peek()? != ']' {
                self.take(',')?;
            }
        }
        self.take(']')?;
        Some(Value::Array(values))
    }

    fn is_text(&mut self) -> bool {
        self.peek() == Some('"') || self.rest.starts_with(self.quote)
    }

    /// A text between marks, or in quotes as JSON has it.
    fn text(&mut self) -> Option<String> {
        if let Some(inside) = self.rest.strip_prefix(self.quote) {
            let (text, rest) = inside.split_once(self.quote)?;
            self.rest = rest;
            return Some(text.to_owned());
        }
        let mut json = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text = json.next()?.ok()?;
        self.rest = &self.rest[json.byte_offset()..];
        Some(text)
    }

    fn until(&mut self, ends: &[char]) -> &str {
        let (found, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        found
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(wanted)?;
        Some(())
    }
}

/// A number or a word.
fn plain(text: &str) -> Value {
    match text.trim() {
        "None" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(text: &str) -> Option<Value> {
        call(text, "call:", "<|\"|>").map(|call| call.arguments)
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let text =
            "call:f{a:<|\"|>x, \"}] \\ é<|\"|>,b:-2.5,c:[true,None,{<|\"|>k: 1<|\"|>:[]}],\"d\":\"e\\n\", g : {}}";
        let expected = json!({"a": "x, \"}] \\ é", "b": -2.5, "c": [true, null, {"k: 1": []}], "d": "e\n", "g": {}});
        assert_eq!(arguments(text), Some(expected));
        assert_eq!(arguments(" call:f{} "), Some(json!({})));
    }

    #[test]
    fn what_is_no_whole_call_is_none() {
        for text in [
            "f{}",
            "call:{}",
            "call:f",
            "call:f{",
            "call:f{a}",
            "call:f{a:1",
            "call:f{a:<|\"|>x}",
            "call:f{} x",
            "call:a b{}",
            "call:f[1]",
        ] {
            assert_eq!(arguments(text), None, "{text}");
        }
        let deep = |depth: usize| format!("call:f{{a:{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(arguments(&deep(60)).is_some() && arguments(&deep(100_000)).is_none());
    }
}
