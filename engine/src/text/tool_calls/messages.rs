//! Messages and tools in the shape that templates read: OpenAI's.

use serde_json::{Value, json};

use crate::{
    Error, Result,
    protocol::{ChatMessage, Role, ToolDefinition},
};

/// A message of a conversation, as templates know it.
pub(in crate::text) fn message(message: &ChatMessage, conversation: &[ChatMessage]) -> Result<Value> {
    let failed = |error: serde_json::Error| Error::Template { reason: error.to_string() };
    let mut value = json!({"role": serde_json::to_value(message.role).map_err(failed)?, "content": message.content});
    if let Some(reasoning) = &message.reasoning {
        value["reasoning_content"] = json!(reasoning);
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
        });
        value["tool_calls"] = calls.collect();
    }
    if let Some(id) = &message.tool_call_id {
        value["tool_call_id"] = json!(id);
    }
    if message.role == Role::Tool {
        let calls = conversation.iter().flat_map(|message| &message.tool_calls);
        // Some templates want the function's name with its result.
        let answered = calls.rev().find(|call| Some(&call.id) == message.tool_call_id.as_ref());
        if let Some(call) = answered {
            value["name"] = json!(call.name);
        }
    }
    Ok(value)
}

/// Tools, as templates know them.
pub fn definitions(tools: &[ToolDefinition]) -> Vec<Value> {
    let definition = |tool: &ToolDefinition| {
        let parameters = tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        let description = tool.description.as_deref().unwrap_or_default();
        json!({"type": "function", "function": {"name": tool.name, "description": description, "parameters": parameters}})
    };
    tools.iter().map(definition).collect()
}

/// The same messages with the arguments of calls as JSON in a string: some templates put them into text as they are.
/// `None` if there are no calls.
pub fn with_arguments_as_text(messages: &[Value]) -> Option<Vec<Value>> {
    let mut has_calls = false;
    let mut messages = messages.to_vec();
    for call in messages.iter_mut().filter_map(|message| message.get_mut("tool_calls")?.as_array_mut()).flatten() {
        let arguments = &mut call["function"]["arguments"];
        has_calls |= !arguments.is_string();
        if !arguments.is_string() {
            *arguments = Value::String(arguments.to_string());
        }
    }
    has_calls.then_some(messages)
}
