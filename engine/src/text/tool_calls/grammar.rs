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
    let mut lark = Lark { syntax, tokenizer, text: String::new() };
    let calls: Vec<String> = (0..wanted.len()).map(|index| format!("call{index}")).collect();
    if calls.is_empty() {
        return Err(Error::invalid("tool_choice", "is required, but there are no tools"));
    }
    let _ = writeln!(lark.text, "start: {}", calls.join(" | "));
    for (index, tool) in wanted.iter().enumerate() {
        match &syntax.0.shape {
            Shape::Json { written } | Shape::Named { written, .. } => lark.call(index, tool, written),
            Shape::Tagged { written, .. } => lark.tagged(index, tool, written),
        }
    }
    Ok(lark.text)
}

struct Lark<'a> {
    syntax: ToolSyntax,
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
                None => {
                    let mut inner = property.clone();
                    // References lead into the whole schema.
                    for definitions in ["$defs", "definitions"] {
                        if let (Some(fields), Some(given)) = (inner.as_object_mut(), schema.get(definitions)) {
                            fields.entry(definitions).or_insert_with(|| given.clone());
                        }
                    }
                    format!("%json {inner}")
                }
            };
            let _ = writeln!(self.text, "{value}: {form}");
        }
        let end = self.literal(written.end);
        let _ = writeln!(self.text, "call{index}: {rule} {end}");
    }

    /// A text in Lark; marks that are special tokens stand for themselves.
    fn literal(&self, text: &str) -> String {
        let mut marks: Vec<&str> = self.syntax.marks().collect();
        marks.sort_unstable_by_key(|mark| usize::MAX - mark.len());
        let special = |mark: &str| self.tokenizer.id_of(mark).filter(|id| self.tokenizer.is_special(*id));
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(letter) = rest.chars().next() {
            let mark = marks
                .iter()
                .find_map(|mark| rest.starts_with(mark).then(|| special(mark).map(|id| (mark.len(), id)))?);
            match mark {
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
