//! Where templates would notice that this is not Python: methods of texts and lists, what counts as a sequence, how
//! numbers look.

use std::{borrow::Cow, fmt, sync::Arc};

use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, filters,
    value::{Enumerator, Object, ObjectRepr, Rest, Tuple, ValueKind, ValueOrKwargs, from_args},
};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::source;

/// What a template's fuel pays for: so many bytes a step, as the template engine itself counts.
const BYTES_A_STEP: u64 = 64;
/// The widest field that `format` fills.
const WIDTH_MAX: usize = 9999;

/// Brings all of it into an environment.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
    environment.set_formatter(write);
    // Python's None is not iterable, and templates ask before they count tools.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    // Whatever has a length and items: to Jinja2 texts and dictionaries are sequences too.
    environment.add_test("sequence", |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool) || value.downcast_object_ref::<Extreme>().is_some()
    });
    environment.add_test("float", |value: &Value| {
        (value.kind() == ValueKind::Number && !value.is_integer()) || value.downcast_object_ref::<Extreme>().is_some()
    });
    environment.add_filter(source::EACH, |value: Value| {
        if value.is_none() { Err(refused("'NoneType' object is not iterable")) } else { Ok(value) }
    });
    environment.add_filter(source::SAFE, |text: &Value| format!("{SAFE_START}{text}{SAFE_END}"));
    environment.add_filter("e", |text: &Value| escaped(&text.to_string()));
    environment.add_filter("escape", |text: &Value| escaped(&text.to_string()));
    add_generators(environment);
    environment.add_filter("trim", |text: &Value, characters: Option<String>| {
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        strip(&text, characters.as_deref(), true, true).to_owned()
    });
}

/// Begins a text that was declared safe and then joined with others: these are escaped when it is written.
const SAFE_START: char = '\u{10FFFE}';
/// Ends such a text.
const SAFE_END: char = '\u{10FFFF}';

/// The characters that have a meaning in HTML, as Jinja2 escapes them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A text of safe parts and others, with the others escaped.
fn joined(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut depth = 0usize;
    for piece in text.split_inclusive([SAFE_START, SAFE_END]) {
        let end = piece.chars().next_back();
        let inside = piece.trim_end_matches([SAFE_START, SAFE_END]);
        result.push_str(&if depth == 0 { escaped(inside) } else { inside.to_owned() });
        match end {
            Some(SAFE_START) => depth += 1,
            Some(SAFE_END) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    result
}

/// Filters whose result Python makes only when it is asked for: there is no list yet, so it has no length and no JSON.
fn add_generators(environment: &mut Environment<'_>) {
    type Arguments = Rest<ValueOrKwargs>;
    environment.add_filter("map", |state: &mut State, value: Value, arguments: Arguments| {
        filters::map(state, value, arguments).map(generator)
    });
    environment.add_filter("select", |state: &mut State, value: Value, test: Option<Cow<'_, str>>, rest: Arguments| {
        filters::select(state, value, test, rest).map(generator)
    });
    environment.add_filter("reject", |state: &mut State, value: Value, test: Option<Cow<'_, str>>, rest: Arguments| {
        filters::reject(state, value, test, rest).map(generator)
    });
    environment.add_filter(
        "selectattr",
        |state: &mut State, value: Value, name: Cow<'_, str>, test: Option<Cow<'_, str>>, rest: Arguments| {
            filters::selectattr(state, value, name, test, rest).map(generator)
        },
    );
    environment.add_filter(
        "rejectattr",
        |state: &mut State, value: Value, name: Cow<'_, str>, test: Option<Cow<'_, str>>, rest: Arguments| {
            filters::rejectattr(state, value, name, test, rest).map(generator)
        },
    );
}

fn generator(values: Vec<Value>) -> Value {
    Value::from_object(Generator(values))
}

/// Values that have no length before they are gone through.
#[derive(Debug)]
pub(super) struct Generator(pub(super) Vec<Value>);

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A number that Python writes with an exponent. It is not for computing: templates show such numbers, as the bounds in
/// a tool's parameters.
#[derive(Debug)]
pub(super) struct Extreme(pub f64);

impl Object for Extreme {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&float(self.0))
    }
}

/// Whether Python writes a number with an exponent.
pub(super) fn is_extreme(value: f64) -> bool {
    value != 0.0 && value.is_finite() && !(1e-4..1e16).contains(&value.abs())
}

/// A float as Python writes it: the shortest digits that read back as the same number, with an exponent from 1e16 on.
pub(super) fn float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    if is_extreme(value) {
        let text = format!("{value:e}");
        let Some((digits, exponent)) = text.split_once('e') else { return text };
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str().filter(|text| text.contains(SAFE_START)) {
        return out.write_str(&joined(text)).map_err(Error::from);
    }
    match f64::try_from(value.clone()) {
        Ok(number) if value.kind() == ValueKind::Number && !value.is_integer() => {
            out.write_str(&float(number)).map_err(Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Methods that Python's own types have; those that the template engine's companion knows are its.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return text_method(state, value, text, name, args);
    }
    if value.kind() == ValueKind::Map && name == "copy" {
        let () = from_args(args)?;
        return Ok(value.clone());
    }
    if value.kind() == ValueKind::Seq && name == "index" {
        let (wanted,): (&Value,) = from_args(args)?;
        let place = value.try_iter()?.position(|item| item == *wanted);
        return place.map(Value::from).ok_or_else(|| refused("the list does not hold that item"));
    }
    unknown_method_callback(state, value, name, args)
}

fn text_method(state: &mut State, value: &Value, text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(args)?;
            Ok(strip(text, characters, name != "rstrip", name != "lstrip").into())
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" => partition(text, name == "rpartition", args),
        "rsplit" => rsplit(text, args),
        "splitlines" => splitlines(text, args),
        "zfill" | "ljust" | "rjust" | "center" => pad(text, name, args),
        "swapcase" => {
            let () = from_args(args)?;
            let swapped = text.chars().flat_map(|character| -> Vec<char> {
                if character.is_uppercase() {
                    character.to_lowercase().collect()
                } else {
                    character.to_uppercase().collect()
                }
            });
            Ok(swapped.collect::<String>().into())
        }
        "index" => {
            let (part,): (&str,) = from_args(args)?;
            let place = text.find(part).ok_or_else(|| refused("substring not found"))?;
            Ok(text[..place].chars().count().into())
        }
        "replace" => {
            let (old, new, _): (&str, &str, Option<i64>) = from_args(args)?;
            let bytes = text.len().saturating_add(text.matches(old).count().saturating_mul(new.len()));
            pay(state, bytes)?;
            unknown_method_callback(state, value, name, args)
        }
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            pay(state, items.len().unwrap_or(0).saturating_mul(text.len()))?;
            unknown_method_callback(state, value, name, args)
        }
        "format" => {
            let is_wild = text.contains(":{")
                || text.split(|character: char| !character.is_ascii_digit()).any(|digits| digits.len() > 4);
            if is_wild {
                return Err(refused(format!("format fills at most {WIDTH_MAX} characters")));
            }
            pay(state, text.matches('{').count().saturating_mul(WIDTH_MAX))?;
            unknown_method_callback(state, value, name, args)
        }
        _ => unknown_method_callback(state, value, name, args),
    }
}

/// Takes from the template's fuel what so many bytes cost, before they are made.
fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / BYTES_A_STEP)
}

fn refused(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// Whitespace to Python: Unicode's, and four control characters that separate files, groups, records and units.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn strip<'a>(text: &'a str, characters: Option<&str>, from_start: bool, from_end: bool) -> &'a str {
    let goes = |character: char| characters.map_or(is_space(character), |characters| characters.contains(character));
    let text = if from_start { text.trim_start_matches(goes) } else { text };
    if from_end { text.trim_end_matches(goes) } else { text }
}

fn partition(text: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    let parts = if from_end { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match parts {
        Some((before, after)) => [before, separator, after],
        None if from_end => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, splits): (Option<&str>, Option<i64>) = from_args(args)?;
    let count =
        splits.and_then(|splits| usize::try_from(splits).ok()).map_or(usize::MAX, |splits| splits.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(refused("empty separator")),
        Some(separator) => text.rsplitn(count, separator).collect(),
        None => {
            let text = strip(text, None, true, true);
            let parts = text.rsplitn(count, is_space);
            parts.filter(|part| !part.is_empty()).map(|part| strip(part, None, true, true)).collect()
        }
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}

fn splitlines(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (keep_ends,): (Option<bool>,) = from_args(args)?;
    let is_end = |character| {
        matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_end).unwrap_or(rest.len());
        let after = &rest[end..];
        let end_bytes = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        let kept = if keep_ends == Some(true) { end + end_bytes } else { end };
        lines.push(&rest[..kept]);
        rest = &rest[end + end_bytes..];
    }
    Ok(lines.into_iter().map(Value::from).collect())
}

fn pad(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let width = usize::try_from(width).unwrap_or(0);
    if width > WIDTH_MAX {
        return Err(refused(format!("{name} fills at most {WIDTH_MAX} characters")));
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = if name == "zfill" { "0" } else { fill.unwrap_or(" ") };
    let padded = match name {
        "ljust" => format!("{text}{}", fill.repeat(missing)),
        "center" => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
        }
        _ if name == "zfill" && text.starts_with(['-', '+']) => {
            format!("{}{}{}", &text[..1], fill.repeat(missing), &text[1..])
        }
        _ => format!("{}{text}", fill.repeat(missing)),
    };
    Ok(padded.into())
}
