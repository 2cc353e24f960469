//! Conversations, the functions that a model may call in them, and the form that an answer must have.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What they say; may be empty beside `tool_calls`.
    #[serde(default)]
    pub content: String,
    /// What the model thought before it answered, where its template keeps that apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The functions that the model called in this turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<ToolCall>>"))]
    pub tool_calls: Vec<ToolCall>,
    /// Of a turn of a tool: which call it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A turn of words alone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), ..Self::default() }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Role {
    /// Standing instructions.
    System,
    /// The person.
    #[default]
    User,
    /// The model.
    Assistant,
    /// A function that the model called: its result.
    Tool,
}

/// A call of a function, as the model made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ToolCall {
    /// By which the result names its call; the model's own where it gave one.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments, usually an object.
    #[cfg_attr(feature = "typescript", ts(type = "unknown"))]
    pub arguments: Value,
}

/// A function that a model may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct ToolDefinition {
    /// The function's name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What it does and when to call it, in words for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments. None: a function without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "unknown"))]
    pub parameters: Option<Value>,
}

/// Whether a model calls functions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It is not told of them.
    None,
    /// It must call one, with arguments that fit its schema.
    Required,
    /// It must call the one of this name.
    Named(String),
}

/// The form that an answer must have: tokens that would break it are never chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Constraint {
    /// JSON that validates against a JSON Schema.
    JsonSchema {
        /// The schema: an object or a boolean.
        #[cfg_attr(feature = "typescript", ts(type = "unknown"))]
        schema: Value,
    },
    /// Any JSON object.
    JsonObject,
    /// A text that a regular expression matches as a whole.
    Regex {
        /// In the syntax of Rust's `regex` crate, without anchors and look-around.
        pattern: String,
    },
    /// A text of a context-free grammar.
    Lark {
        /// In llguidance's dialect of Lark.
        grammar: String,
    },
}
