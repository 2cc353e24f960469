//! Calls of functions, as each family of models writes them.
//!
//! A model was trained to write calls in one way, and its chat template shows which: the marks that stand in the
//! template's text are looked up in a [table](table). With the way known, a [`ToolCallParser`] takes calls out of an
//! answer as it comes, and [`ToolSyntax::grammar`] is the form that an answer has if a call is asked for.

mod grammar;
mod messages;
mod parser;
mod quoted;
mod read;
mod table;

pub(super) use messages::message;
pub use messages::{definitions, with_arguments_as_text};
pub use parser::{Call, Piece, ToolCallParser};

use self::table::{LLAMA, SYNTAXES, Shape, Syntax};
use super::Tokenizer;
use crate::{
    Error, Result,
    protocol::{ToolChoice, ToolDefinition},
};

/// Tools that one request may declare.
const TOOLS_MAX: usize = 128;

/// Bytes of a tool's name.
const NAME_BYTES_MAX: usize = 128;

/// The way in which a model writes calls.
#[derive(Clone, Copy, Debug)]
pub struct ToolSyntax(&'static Syntax);

impl ToolSyntax {
    /// From the text of the model's chat template; `None` if it shows no way.
    pub fn detect(template: &str) -> Option<Self> {
        let shows = |syntax: &&Syntax| syntax.evidence.iter().all(|mark| template.contains(mark));
        SYNTAXES.iter().chain([&LLAMA]).find(shows).map(Self)
    }

    /// The family's name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Special tokens that are part of calls: text must show them, or the parser would not see them.
    pub fn special_tokens(self, tokenizer: &Tokenizer) -> Vec<u32> {
        let ids = self.marks().flat_map(|mark| tokenizer.specials_in(mark));
        ids.filter(|id| !tokenizer.end_of_turn().contains(id)).collect()
    }

    /// The Lark grammar of an answer that is one call of one of these tools.
    pub fn grammar(self, tools: &[ToolDefinition], choice: &ToolChoice, tokenizer: &Tokenizer) -> Result<String> {
        grammar::grammar(self, tools, choice, tokenizer)
    }

    /// All in which there may be special tokens.
    fn marks(self) -> impl Iterator<Item = &'static str> {
        let (one, other) = match &self.0.shape {
            Shape::Named { head, id, .. } => (Some(*head), id.as_ref().map(|id| id.mark)),
            Shape::Quoted { close, quote, .. } => (Some(*close), Some(*quote)),
            Shape::Tagged { close, .. } => (Some(*close), None),
            Shape::Json { .. } => (None, None),
        };
        self.0.opens.iter().chain(self.0.silent).copied().chain(one).chain(other)
    }
}

/// Refuses tools that cannot be declared or called.
pub fn check_tools(tools: &[ToolDefinition], choice: &ToolChoice) -> Result<()> {
    if tools.len() > TOOLS_MAX {
        return Err(Error::invalid("tools", format!("are {}, but at most {TOOLS_MAX} are possible", tools.len())));
    }
    for (index, tool) in tools.iter().enumerate() {
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if tool.name.is_empty() || tool.name.len() > NAME_BYTES_MAX || !tool.name.chars().all(is_allowed) {
            let reason =
                format!("holds {:?}, but names have 1 to {NAME_BYTES_MAX} letters, digits, _, - or .", tool.name);
            return Err(Error::invalid("tools", reason));
        }
        if tools[..index].iter().any(|other| other.name == tool.name) {
            return Err(Error::invalid("tools", format!("declare {} twice", tool.name)));
        }
        if tool.parameters.as_ref().is_some_and(|parameters| !parameters.is_object()) {
            return Err(Error::invalid("tools", format!("give {} parameters that are no JSON Schema", tool.name)));
        }
    }
    match choice {
        ToolChoice::Required if tools.is_empty() => {
            Err(Error::invalid("tool_choice", "is required, but there are no tools"))
        }
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(Error::invalid("tool_choice", format!("names {name:?}, which is not among the tools")))
        }
        _ => Ok(()),
    }
}
