//! What a template is given: a conversation, tools, documents and whatever else it knows how to read.

use serde_json::{Map, Value};

use crate::{Error, Result, protocol::ChatMessage, text::tool_calls};

/// The names under which a message's reasoning is found; the first is the one that templates read.
const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
/// Marks the end of the message that is to be continued. It is transformers' own, because templates trim what they
/// are given and so may cut the space at its end.
const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// A conversation as templates know it, in the shapes of transformers' `apply_chat_template`.
///
/// A message is an object with a `role` and a `content`, which is a text or a list of parts such as
/// `{"type": "text", "text": "..."}`. It may have `tool_calls`, `reasoning_content` and whatever else the model's
/// template reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatInput {
    /// The turns, oldest first.
    pub messages: Vec<Value>,
    /// Tools that the model may call, each as `{"type": "function", "function": {...}}`. `None` and an empty list are
    /// two things: a model with a template of its own for tools uses that for any list.
    pub tools: Option<Vec<Value>>,
    /// Documents to answer from, each as `{"title": "...", "text": "..."}`.
    pub documents: Option<Vec<Value>>,
    /// The name of the model's template to take: "rag", ... None: "tool_use" where there are tools and the model has
    /// one, otherwise "default".
    pub template: Option<String>,
    /// Whether the text ends where the assistant begins to speak.
    pub add_generation_prompt: bool,
    /// Whether the last message is left open, for the model to continue it.
    pub continue_final_message: bool,
    /// Everything else that the template reads by name: `enable_thinking`, `reasoning_effort`, ...
    pub variables: Map<String, Value>,
}

impl ChatInput {
    /// A conversation, with the calls of functions in it.
    pub fn new(messages: &[ChatMessage], add_generation_prompt: bool) -> Result<Self> {
        let messages = messages.iter().map(|message| tool_calls::message(message, messages)).collect::<Result<_>>()?;
        Ok(Self { messages, add_generation_prompt, ..Self::default() })
    }

    /// Every text in it, names of fields included.
    pub(in crate::text) fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        let lists = [Some(&self.messages), self.tools.as_ref(), self.documents.as_ref()];
        lists
            .into_iter()
            .flatten()
            .flatten()
            .chain(self.variables.values())
            .for_each(|value| collect(value, &mut texts));
        texts
    }

    /// The same with each text that somebody wrote changed. Roles and the like stay, for templates compare them.
    pub(in crate::text) fn map_texts(&self, change: &dyn Fn(&str) -> String) -> Self {
        let all = |values: &Vec<Value>| values.iter().map(|value| mapped(value, change)).collect();
        let variables = self.variables.iter().map(|(name, value)| (name.clone(), mapped(value, change))).collect();
        Self {
            messages: all(&self.messages),
            tools: self.tools.as_ref().map(all),
            documents: self.documents.as_ref().map(all),
            template: self.template.clone(),
            add_generation_prompt: self.add_generation_prompt,
            continue_final_message: self.continue_final_message,
            variables,
        }
    }

    /// The messages as the template shall see them, and the text after which the rendering is to be cut off.
    pub(super) fn prepared(&self) -> Result<(Vec<Value>, Option<String>)> {
        let mut messages: Vec<Value> = self.messages.iter().map(with_reasoning).collect::<Result<_>>()?;
        if !self.continue_final_message {
            return Ok((messages, None));
        }
        let content = messages.last_mut().and_then(|message| message.get_mut("content"));
        let text = match content {
            Some(Value::Array(parts)) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")),
            content => content,
        };
        let Some(Value::String(text)) = text else {
            return Err(failed("the last message has no text to continue".to_owned()));
        };
        let last = text.trim().to_owned();
        text.push_str(CONTINUE_TAG);
        Ok((messages, Some(last)))
    }
}

/// Cuts a rendered conversation where its last message ends.
pub(super) fn cut_after(rendered: &str, last: &str) -> Result<String> {
    let tag = CONTINUE_TAG.trim_end();
    match rendered.rfind(tag).filter(|_| rendered.contains(last)) {
        Some(end) if rendered[end..].starts_with(CONTINUE_TAG) => Ok(rendered[..end].to_owned()),
        Some(end) => Ok(rendered[..end].trim_end().to_owned()),
        None => Err(failed("it leaves out the message that is to be continued".to_owned())),
    }
}

/// A message with its reasoning under every name that templates know it by.
fn with_reasoning(message: &Value) -> Result<Value> {
    let Value::Object(fields) = message else { return Err(failed("a message is not an object".to_owned())) };
    let known = REASONING_FIELDS.iter().filter_map(|name| fields.get(*name)).find(|value| !value.is_null());
    let Some(reasoning) = known.cloned() else { return Ok(message.clone()) };
    let mut fields = fields.clone();
    fields.entry("thinking").or_insert_with(|| reasoning.clone());
    fields.insert("reasoning_content".to_owned(), reasoning);
    Ok(Value::Object(fields))
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            texts.push(name);
            collect(value, texts);
        }),
        _ => {}
    }
}

fn mapped(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(text).into(),
        Value::Array(values) => values.iter().map(|value| mapped(value, change)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (change(name), mapped(value, change))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn failed(reason: String) -> Error {
    Error::Template { reason }
}
