//! The form that an answer shall have, and the functions that it may call, from the command line.

use std::path::{Path, PathBuf};

use clap::Args;
use hearth_engine::{
    Error,
    protocol::{Constraint, ToolChoice, ToolDefinition},
};
use serde::Deserialize;
use serde_json::Value;

use crate::output::Stop;

/// A form for the answer.
#[derive(Args)]
pub struct Form {
    /// The answer is JSON that validates against this JSON Schema: a file, or the schema itself
    #[arg(long, value_name = "FILE|JSON", conflicts_with_all = ["regex", "grammar"])]
    json_schema: Option<String>,
    /// The answer matches this regular expression as a whole
    #[arg(long, value_name = "PATTERN", conflicts_with = "grammar")]
    regex: Option<String>,
    /// The answer is a text of this grammar, in llguidance's dialect of Lark
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
}

impl Form {
    /// Reads what was named.
    pub fn constraint(&self) -> Result<Option<Constraint>, Stop> {
        if let Some(schema) = &self.json_schema {
            return Ok(Some(Constraint::JsonSchema { schema: schema_of(schema)? }));
        }
        if let Some(pattern) = &self.regex {
            return Ok(Some(Constraint::Regex { pattern: pattern.clone() }));
        }
        let Some(path) = &self.grammar else { return Ok(None) };
        Ok(Some(Constraint::Lark { grammar: read(path)? }))
    }
}

/// Functions for the answer.
#[derive(Args)]
pub struct Tools {
    /// Functions that the model may call: a file with a JSON list of them, each with name, description and parameters
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json_schema", "regex", "grammar"])]
    tools: Option<PathBuf>,
    /// Whether it calls one: auto, none, required, or the name of the one that it must call [default: auto]
    #[arg(long, value_name = "CHOICE", requires = "tools")]
    tool_choice: Option<String>,
}

/// An entry of the file: OpenAI's form, or the function alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Wrapped { function: ToolDefinition },
    Plain(ToolDefinition),
}

impl Tools {
    /// Reads what was named.
    pub fn definitions(&self) -> Result<Vec<ToolDefinition>, Stop> {
        let Some(path) = &self.tools else { return Ok(Vec::new()) };
        let entries: Vec<Entry> = serde_json::from_str(&read(path)?).map_err(|error| {
            Error::malformed(path.display().to_string(), format!("it is no list of tools: {error}"))
        })?;
        let definition = |entry| match entry {
            Entry::Wrapped { function } | Entry::Plain(function) => function,
        };
        Ok(entries.into_iter().map(definition).collect())
    }

    /// Whether one is to be called.
    pub fn choice(&self) -> ToolChoice {
        match self.tool_choice.as_deref() {
            None | Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            Some(name) => ToolChoice::Named(name.to_owned()),
        }
    }
}

/// A schema from the argument itself, or from the file of that name.
fn schema_of(argument: &str) -> Result<Value, Stop> {
    if argument.trim_start().starts_with('{') {
        return serde_json::from_str(argument)
            .map_err(|error| Stop::Usage(format!("--json-schema is no JSON: {error}")));
    }
    let schema = serde_json::from_str(&read(Path::new(argument))?);
    Ok(schema.map_err(|error| Error::malformed(argument, format!("it is no JSON: {error}")))?)
}

fn read(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path).map_err(|error| Stop::io(path.display().to_string(), &error))
}
