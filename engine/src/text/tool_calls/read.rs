//! The text of a call that is whole, read.

use serde_json::{Map, Value};

use super::{
    parser::Call,
    table::{Id, Tags},
};
use crate::protocol::ToolDefinition;

/// Calls that are objects, or a list of them; `None` if the text is anything else.
pub(super) fn objects(json: &str, tools: &[ToolDefinition], must_be_declared: bool) -> Option<Vec<Call>> {
    let values = match serde_json::from_str(json).ok()? {
        Value::Array(values) => values,
        value => vec![value],
    };
    let calls: Option<Vec<Call>> = values.into_iter().map(|value| object(value, tools)).collect();
    let is_declared = |call: &Call| tools.iter().any(|tool| tool.name == call.name);
    calls.filter(|calls| !calls.is_empty() && (!must_be_declared || calls.iter().all(is_declared)))
}

fn object(value: Value, tools: &[ToolDefinition]) -> Option<Call> {
    let Value::Object(mut fields) = value else { return None };
    let id = ["id", "tool_call_id"].iter().find_map(|key| fields.get(*key)).and_then(Value::as_str).map(str::to_owned);
    // OpenAI's own form has the call inside.
    if let Some(Value::Object(inner)) = fields.get_mut("function") {
        fields = std::mem::take(inner);
    }
    let name = ["name", "tool_name", "function"].iter().find_map(|key| fields.get(*key)?.as_str()).map(str::to_owned);
    match name {
        Some(name) if !name.is_empty() => {
            let arguments = ["arguments", "parameters", "args"].iter().find_map(|key| fields.shift_remove(*key));
            Some(Call { id, name, arguments: arguments.map_or_else(|| Value::Object(Map::new()), unpacked) })
        }
        Some(_) => None,
        // {"get_weather": {...}}
        None if fields.len() == 1 => {
            let (name, arguments) = fields.into_iter().next()?;
            let is_declared = tools.iter().any(|tool| tool.name == name);
            is_declared.then(|| Call { id, name, arguments: unpacked(arguments) })
        }
        None => None,
    }
}

/// Arguments that came as JSON in a string.
fn unpacked(arguments: Value) -> Value {
    let object = arguments.as_str().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    object.map_or(arguments, Value::Object)
}

/// A call whose name, or what stands around it, is the text before its arguments.
pub(super) fn named(label: &str, prelude: &str, json: &str, id: Option<&Id>) -> Option<Call> {
    let mut id_text = None;
    let mut name = label.trim();
    if let Some(id) = id
        && let Some((first, second)) = name.split_once(id.mark)
    {
        let (id_part, name_part) = if id.is_first { (first, second) } else { (second, first) };
        (id_text, name) = (Some(id_part.trim().to_owned()), name_part.trim());
    }
    // DeepSeek R1 writes "function" for the name, and the name in front of the arguments.
    let inner = prelude.trim().trim_end_matches("```json").trim_end_matches("```").trim();
    if !inner.is_empty() {
        name = inner;
    }
    // Kimi writes functions.name:0, and means all of it as the id.
    if let Some(rest) = name.strip_prefix("functions.") {
        let plain = rest.rsplit_once(':').filter(|(_, index)| index.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some((plain, _)) = plain {
            id_text = Some(name.to_owned());
            name = plain;
        } else {
            name = rest;
        }
    }
    // gpt-oss names the channel and the content's type behind the function.
    for rest in ["<|channel|>", "<|constrain|>", " json", " code"] {
        name = name.split(rest).next().unwrap_or(name).trim_end();
    }
    let is_name = !name.is_empty() && name.len() <= 256 && !name.contains(char::is_whitespace);
    let arguments = serde_json::from_str(json).ok()?;
    is_name.then(|| Call { id: id_text, name: name.to_owned(), arguments: unpacked(arguments) })
}

/// Calls between tags.
pub(super) fn tagged(block: &str, tags: &Tags, tools: &[ToolDefinition]) -> Option<Vec<Call>> {
    let mut calls = Vec::new();
    let mut rest = block;
    loop {
        if !tags.name.0.is_empty() {
            match rest.split_once(tags.name.0) {
                Some((_, after)) => rest = after,
                None => break,
            }
        }
        let (name, after) = match tags.name.1 {
            "" => rest.split_at(
                rest.trim_start().find(['\n', '<']).map_or(rest.len(), |at| at + rest.len() - rest.trim_start().len()),
            ),
            end => rest.split_once(end)?,
        };
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let section_end =
            if tags.name.0.is_empty() { after.len() } else { after.find(tags.name.0).unwrap_or(after.len()) };
        let tool = tools.iter().find(|tool| tool.name == name);
        let arguments = arguments(&after[..section_end], tags, tool)?;
        calls.push(Call { id: None, name: name.to_owned(), arguments: Value::Object(arguments) });
        rest = &after[section_end..];
        if rest.is_empty() {
            break;
        }
    }
    if calls.is_empty() { None } else { Some(calls) }
}

fn arguments(section: &str, tags: &Tags, tool: Option<&ToolDefinition>) -> Option<Map<String, Value>> {
    let mut arguments = Map::new();
    let mut rest = section;
    while let Some((_, after)) = rest.split_once(tags.key.0) {
        let (key, after) = after.split_once(tags.key.1)?;
        let (attributes, after) = after.split_once(tags.value.0)?;
        let (value, after) = after.split_once(tags.value.1)?;
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        let is_text = attributes.contains("string=\"true\"") || is_string(tool, key.trim());
        let parsed = if is_text { None } else { serde_json::from_str(value.trim()).ok() };
        arguments.insert(key.trim().to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
        rest = after;
    }
    Some(arguments)
}

/// Whether the tool declares this argument as text: then `5` is a text too.
pub(super) fn is_string(tool: Option<&ToolDefinition>, key: &str) -> bool {
    let Some(parameters) = tool.and_then(|tool| tool.parameters.as_ref()) else { return false };
    let schema = &parameters["properties"][key];
    schema["type"] == "string" || schema["enum"].as_array().is_some_and(|values| values.iter().all(Value::is_string))
}
