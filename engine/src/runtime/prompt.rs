//! From a request to the model's tokens, and to what the answer's shall become.

use super::{Ready, outlet::Marks};
use crate::{
    Error, Result,
    decode::{Grammars, TokenMask},
    protocol::{ChatMessage, Constraint, GenerateRequest, Prompt, ToolChoice},
    text::{
        ChatInput, EncodeOptions, TextStream, Tokenizer,
        reasoning::{ReasoningParser, ReasoningSyntax},
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
    /// Texts with which another's turn begins.
    pub(super) stop: &'static [&'static str],
    /// What is to be found in the answer besides words.
    pub(super) marks: Marks,
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
            Ok(Prepared { ids, text: TextStream::continuing(), constraint, stop: &[], marks: Marks::default() })
        }
        Prompt::Chat { messages } => {
            if messages.is_empty() {
                return Err(Error::invalid("messages", "are empty"));
            }
            if has_tools {
                return prepare_tools(ready, request, messages);
            }
            let constraint = constrain(ready, request.constraint.as_ref())?;
            let input = ChatInput::new(messages, true)?;
            if constraint.is_some() {
                return Ok(Prepared {
                    ids: encode(ready, without_thoughts(input))?,
                    // A form holds for each byte: none is taken away from the beginning, and no text ends it.
                    text: TextStream::continuing(),
                    constraint,
                    stop: &[],
                    marks: Marks::default(),
                });
            }
            let ids = encode(ready, input)?;
            let syntax = ReasoningSyntax::detect(ready.template.source());
            let shown = syntax.map(|syntax| syntax.special_tokens(&ready.tokenizer)).unwrap_or_default();
            let reasoning = syntax.map(|syntax| ReasoningParser::new(syntax, &end_of(&ids, &ready.tokenizer)));
            Ok(Prepared {
                ids,
                text: TextStream::new().showing(shown),
                constraint: None,
                stop: ready.template.stop_texts(),
                marks: Marks { reasoning, calls: None, trims_start: ready.template.is_transcript() },
            })
        }
    }
}

fn prepare_tools(ready: &Ready, request: &GenerateRequest, messages: &[ChatMessage]) -> Result<Prepared> {
    if request.constraint.is_some() {
        return Err(Error::invalid("constraint", "cannot be given beside tools, unless tool_choice is none"));
    }
    let syntax = ToolSyntax::detect(ready.template.tool_source()).ok_or_else(|| {
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
    let ids = encode(ready, if must_call { without_thoughts(input) } else { input })?;
    let thoughts = if must_call { None } else { ReasoningSyntax::detect(ready.template.tool_source()) };
    let mut shown = syntax.special_tokens(&ready.tokenizer);
    shown.extend(thoughts.iter().flat_map(|thoughts| thoughts.special_tokens(&ready.tokenizer)));
    let reasoning = thoughts.map(|thoughts| ReasoningParser::new(thoughts, &end_of(&ids, &ready.tokenizer)));
    let text = if must_call { TextStream::continuing() } else { TextStream::new() };
    Ok(Prepared {
        ids,
        text: text.showing(shown),
        constraint,
        stop: &[],
        marks: Marks { reasoning, calls: Some(ToolCallParser::new(syntax, &request.tools)), trims_start: false },
    })
}

/// A form begins with the first token, so a template that would begin with a thought is told not to.
fn without_thoughts(mut input: ChatInput) -> ChatInput {
    for name in ["enable_thinking", "thinking"] {
        input.variables.insert(name.to_owned(), false.into());
    }
    input
}

/// The text of a prompt's last tokens, which are the template's: as many as the longest mark may have.
fn end_of(ids: &[u32], tokenizer: &Tokenizer) -> String {
    const TOKENS: usize = 64;
    let last = ids[ids.len().saturating_sub(TOKENS)..].iter();
    let bytes: Vec<u8> = last.filter_map(|id| tokenizer.token_bytes(*id)).flatten().copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The conversation's tokens. Templates differ in whether arguments of calls are objects or text.
fn encode(ready: &Ready, input: ChatInput) -> Result<Vec<u32>> {
    let Ready { tokenizer, template, .. } = ready;
    let encoded = tokenizer.encode_input(template, &input);
    if let (Err(Error::Template { .. }), Some(messages)) =
        (&encoded, tool_calls::with_arguments_as_text(&input.messages))
    {
        return tokenizer.encode_input(template, &ChatInput { messages, ..input }).or(encoded);
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
