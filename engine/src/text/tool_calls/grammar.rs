//! The form of an answer that must be a call.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    ToolSyntax, check_tools, read,
    table::{Shape, Written, WrittenTags},
};
use crate::{
    Error, Result,
    protocol::{ToolChoice, ToolDefinition},
    text::Tokenizer,
};

/// A Lark grammar for one call of one of the tools, or of the one that is named.
pub(super) fn grammar(
    syntax: ToolSyntax,
    tools: &[ToolDefinition],
    choice: &ToolChoice,
    tokenizer: &Tokenizer,
) -> Result<String> {
    check_tools(tools, choice)?;
    let is_wanted = |tool: &&ToolDefinition| !matches!(choice, ToolChoice::Named(name) if *name != tool.name);
    let wanted: Vec<&ToolDefinition> = tools.iter().filter(is_wanted).collect();
    let mut lark = Lark { tokenizer, text: String::new() };
    let calls: Vec<String> = (0..wanted.len()).map(|index| format!("call{index}")).collect();
    if calls.is_empty() {
        return Err(Error::invalid("tool_choice", "is required, but there are no tools"));
    }
    let _ = writeln!(lark.text, "start: {}", calls.join(" | "));
    for (index, tool) in wanted.iter().enumerate() {
        match &syntax.0.shape {
            Shape::Json { written } | Shape::Named { written, .. } => lark.call(index, tool, written),
            Shape::Tagged { written, .. } => lark.tagged(index, tool, written),
            Shape::Quoted { close, head, quote } => {
                let before = format!("{}{head}{}{{", syntax.0.opens.first().unwrap_or(&""), tool.name);
                lark.quoted(index, tool, &before, close, quote);
            }
        }
    }
    Ok(lark.text)
}

struct Lark<'a> {
    tokenizer: &'a Tokenizer,
    text: String,
}

impl Lark<'_> {
    fn call(&mut self, index: usize, tool: &ToolDefinition, written: &Written) {
        let Written(before_name, before_arguments, after) = written;
        let before = self.literal(&format!("{before_name}{}{before_arguments}", tool.name));
        let after = self.literal(after);
        let _ = writeln!(self.text, "call{index}: {before} arguments{index} {after}");
        let _ = writeln!(self.text, "arguments{index}: %json {}", parameters(tool));
    }

    fn tagged(&mut self, index: usize, tool: &ToolDefinition, written: &WrittenTags) {
        let schema = parameters(tool);
        let names = |key: &str| schema[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut rule = self.literal(&format!("{}{}{}", written.before_name, tool.name, written.after_name));
        for (position, (key, property)) in schema["properties"].as_object().into_iter().flatten().enumerate() {
            let is_text = read::is_string(Some(tool), key);
            let after_key = if is_text { written.after_key.0 } else { written.after_key.1 };
            let before = self.literal(&format!("{}{key}{after_key}", written.before_key));
            let after = self.literal(written.after_value);
            let value = format!("value{index}_{position}");
            let optional = if names("required").any(|name| name == key) { "" } else { "?" };
            let _ = write!(rule, " ({before} {value} {after}){optional}");
            let choices = property["enum"].as_array().filter(|_| is_text);
            let form = match choices {
                Some(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "),
                None if is_text => plain_text(property),
                None => format!("%json {}", with_definitions(property, &schema)),
            };
            let _ = writeln!(self.text, "{value}: {form}");
        }
        let end = self.literal(written.end);
        let _ = writeln!(self.text, "call{index}: {rule} {end}");
    }

    /// Keys in their order, with commas between those that are there: after each, what may follow.
    fn quoted(&mut self, index: usize, tool: &ToolDefinition, before: &str, close: &str, quote: &str) {
        let schema = parameters(tool);
        let is_required =
            |key: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == key));
        let properties: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        let quote = self.literal(quote);
        for (position, (key, property)) in properties.iter().enumerate() {
            let is_text = read::is_string(Some(tool), key);
            let form = match property["enum"].as_array().filter(|_| is_text) {
                Some(values) => {
                    format!("{quote} ({}) {quote}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "))
                }
                None if is_text => {
                    format!("{quote} text{index}_{position} {quote}\ntext{index}_{position}: {}", plain_text(property))
                }
                None => format!("%json {}", with_definitions(property, &schema)),
            };
            let key = self.literal(&format!("{key}:"));
            let _ = writeln!(self.text, "value{index}_{position}: {form}");
            let _ = writeln!(self.text, "pair{index}_{position}: {key} value{index}_{position}");
        }
        // rest_n: the pairs from n on, each behind a comma. first_n: the same where none came before.
        let count = properties.len();
        let _ = writeln!(self.text, "rest{index}_{count}: \"\"\nfirst{index}_{count}: \"\"");
        for (position, (key, _)) in properties.iter().enumerate().rev() {
            let next = position + 1;
            let skip = |rule: &str| if is_required(key) { String::new() } else { format!(" | {rule}{index}_{next}") };
            let (rest, first) = (skip("rest"), skip("first"));
            let _ =
                writeln!(self.text, "rest{index}_{position}: \",\" pair{index}_{position} rest{index}_{next}{rest}");
            let _ = writeln!(self.text, "first{index}_{position}: pair{index}_{position} rest{index}_{next}{first}");
        }
        let (before, after) = (self.literal(before), self.literal(&format!("}}{close}")));
        let _ = writeln!(self.text, "call{index}: {before} first{index}_0 {after}");
    }

    /// A text in Lark; special tokens in it stand for themselves.
    fn literal(&self, text: &str) -> String {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(letter) = rest.chars().next() {
            let mark = self.tokenizer.special_at(rest);
            match mark.and_then(|mark| Some((mark.len(), self.tokenizer.id_of(mark)?))) {
                Some((length, id)) => {
                    if !plain.is_empty() {
                        parts.push(json!(std::mem::take(&mut plain)).to_string());
                    }
                    parts.push(format!("<[{id}]>"));
                    rest = &rest[length..];
                }
                None => {
                    plain.push(letter);
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        if !plain.is_empty() {
            parts.push(json!(plain).to_string());
        }
        parts.join(" ")
    }
}

/// A part of a schema on its own. References lead into the whole.
fn with_definitions(part: &Value, schema: &Value) -> Value {
    let mut inner = part.clone();
    for definitions in ["$defs", "definitions"] {
        if let (Some(fields), Some(given)) = (inner.as_object_mut(), schema.get(definitions)) {
            fields.entry(definitions).or_insert_with(|| given.clone());
        }
    }
    inner
}

/// The form of a text that stands between tags as it is, and so ends where a tag begins.
fn plain_text(schema: &Value) -> String {
    if let Some(pattern) = schema["pattern"].as_str() {
        let pattern = in_lark(pattern);
        let (start, end) = (pattern.strip_prefix('^'), pattern.strip_suffix('$'));
        let before = if start.is_some() { "" } else { "[^<]*" };
        let after = if end.is_some() { "" } else { "[^<]*" };
        let inner = start.unwrap_or(&pattern);
        let inner = if end.is_some() { inner.strip_suffix('$').unwrap_or(inner) } else { inner };
        return format!("/{before}(?:{inner}){after}/");
    }
    match (schema["minLength"].as_u64().unwrap_or(0), schema["maxLength"].as_u64()) {
        (0, None) => "/[^<]*/".to_owned(),
        (shortest, None) => format!("/[^<]{{{shortest},}}/"),
        (shortest, Some(longest)) => format!("/[^<]{{{shortest},{longest}}}/"),
    }
}

/// A regular expression of JSON Schema as it stands between Lark's slashes; its digits and letters are ASCII's.
fn in_lark(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '/' => written.push_str("\\/"),
            '\n' => written.push_str("\\n"),
            '\\' => match letters.next() {
                Some('d') => written.push_str("[0-9]"),
                Some('D') => written.push_str("[^0-9]"),
                Some('w') => written.push_str("[0-9A-Za-z_]"),
                Some('W') => written.push_str("[^0-9A-Za-z_]"),
                other => written.extend(['\\'].into_iter().chain(other)),
            },
            _ => written.push(letter),
        }
    }
    written
}

/// The schema of a tool's arguments: an object in any case.
fn parameters(tool: &ToolDefinition) -> Value {
    let Some(parameters) = &tool.parameters else {
        return json!({"type": "object", "properties": {}, "additionalProperties": false});
    };
    let mut schema = parameters.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.entry("type").or_insert_with(|| json!("object"));
        // Models call with what is declared.
        fields.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    schema
}
