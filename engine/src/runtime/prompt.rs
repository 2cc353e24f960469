//! From a request to the model's tokens, and to what the answer's shall become.

use super::Ready;
use crate::{
    Error, Result,
    decode::{Grammars, TokenMask},
    protocol::{ChatMessage, Constraint, GenerateRequest, Prompt, ToolChoice},
    text::{
        ChatInput, ChatTemplate, EncodeOptions, TextStream,
        tool_calls::{self, ToolCallParser, ToolSyntax},
    },
};

/// A request that has been understood.
pub(super) struct Prepared {
    /// The prompt.
    pub(super) ids: Vec<u32>,
    /// How tokens become text.
    pub(super) text: TextStream,
    /// What keeps the answer in its form.
    pub(super) constraint: Option<TokenMask>,
    /// What takes calls out of the text.
    pub(super) calls: Option<ToolCallParser>,
}

/// Checks a request and renders its prompt.
pub(super) fn prepare(ready: &Ready, request: &GenerateRequest) -> Result<Prepared> {
    tool_calls::check_tools(&request.tools, &request.tool_choice)?;
    let has_tools = !request.tools.is_empty() && request.tool_choice != ToolChoice::None;
    match &request.prompt {
        Prompt::Text { .. } if has_tools => Err(Error::invalid("tools", "can only be given with a conversation")),
        Prompt::Text { text } => {
            let options = EncodeOptions { parse_special: false, add_special: true };
            let mut ids = ready.tokenizer.encode(text, options)?;
            if ids.is_empty() {
                ids.extend(ready.tokenizer.bos());
            }
            let constraint = constrain(ready, request.constraint.as_ref())?;
            Ok(Prepared { ids, text: TextStream::continuing(), constraint, calls: None })
        }
        Prompt::Chat { messages } => {
            if messages.is_empty() {
                return Err(Error::invalid("messages", "are empty"));
            }
            let template =
                ready.template.as_ref().ok_or_else(|| Error::Template { reason: "the model brought none".into() })?;
            if has_tools {
                return prepare_tools(ready, request, messages, template);
            }
            let constraint = constrain(ready, request.constraint.as_ref())?;
            // A form holds for each byte: none is taken away from the beginning.
            let text = if constraint.is_some() { TextStream::continuing() } else { TextStream::new() };
            Ok(Prepared {
                ids: encode(ready, template, ChatInput::new(messages, true)?)?,
                text,
                constraint,
                calls: None,
            })
        }
    }
}

fn prepare_tools(
    ready: &Ready,
    request: &GenerateRequest,
    messages: &[ChatMessage],
    template: &ChatTemplate,
) -> Result<Prepared> {
    if request.constraint.is_some() {
        return Err(Error::invalid("constraint", "cannot be given beside tools, unless tool_choice is none"));
    }
    let syntax = ToolSyntax::detect(template.tool_source()).ok_or_else(|| {
        Error::invalid("tools", "cannot be given to this model: its chat template shows no known way to call them")
    })?;
    let must_call = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    let constraint = if must_call {
        let grammar = syntax.grammar(&request.tools, &request.tool_choice, &ready.tokenizer)?;
        constrain(ready, Some(&Constraint::Lark { grammar }))?
    } else {
        None
    };
    let input = ChatInput { tools: Some(tool_calls::definitions(&request.tools)), ..ChatInput::new(messages, true)? };
    let text = if must_call { TextStream::continuing() } else { TextStream::new() };
    Ok(Prepared {
        ids: encode(ready, template, input)?,
        text: text.showing(syntax.special_tokens(&ready.tokenizer)),
        constraint,
        calls: Some(ToolCallParser::new(syntax, &request.tools)),
    })
}

/// The conversation's tokens. Templates differ in whether arguments of calls are objects or text.
fn encode(ready: &Ready, template: &ChatTemplate, input: ChatInput) -> Result<Vec<u32>> {
    let encoded = ready.tokenizer.encode_input(template, &input);
    if let (Err(Error::Template { .. }), Some(messages)) =
        (&encoded, tool_calls::with_arguments_as_text(&input.messages))
    {
        return ready.tokenizer.encode_input(template, &ChatInput { messages, ..input }).or(encoded);
    }
    encoded
}

/// What keeps the answer in its form.
fn constrain(ready: &Ready, constraint: Option<&Constraint>) -> Result<Option<TokenMask>> {
    let Some(constraint) = constraint else { return Ok(None) };
    let grammars = match ready.grammars.get() {
        Some(grammars) => grammars,
        None => {
            let grammars = Grammars::new(&ready.session, &ready.tokenizer)?;
            ready.grammars.get_or_init(|| grammars)
        }
    };
    grammars.compile(constraint).map(Some)
}
