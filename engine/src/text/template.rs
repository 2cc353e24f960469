//! A conversation to text.
//!
//! Models bring a Jinja template that writes a conversation the way they were trained to read it. Templates are written
//! against the Jinja2 of Python's transformers library, so the environment here has what that one has: blocks trimmed,
//! loop controls, Python's string methods, `raise_exception`, `tojson` in Python's notation, `strftime_now`, and the
//! markers `{% generation %}`, which mean something in training only.
//!
//! A template comes with a model and is not trusted: it can reach nothing but its arguments, and how many steps it takes
//! is limited. What it can do is to double a text until memory is out.

mod calendar;
mod json;

pub use calendar::LocalTime;

use minijinja::{Environment, ErrorKind, Output, State, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::hf_config::HfConfig;
use crate::{
    Error, Result,
    file::{Documents, GgufMetadata},
    protocol::ChatMessage,
};

/// Steps that rendering may take. The largest real template takes some 200 a message.
const FUEL: u64 = 5_000_000;
/// The name under which the environment knows the template; error messages show it.
const NAME: &str = "chat_template";

/// The Jinja template with which a model's conversations are written.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    bos_token: String,
    eos_token: String,
    now: Option<LocalTime>,
}

impl ChatTemplate {
    /// From whatever an opened model brought; `None` if it brought no template.
    pub fn from_documents(documents: &Documents) -> Result<Option<Self>> {
        match documents {
            Documents::HuggingFace { tokenizer_config, chat_template, .. } => {
                Self::from_hf(tokenizer_config.as_deref(), chat_template.as_deref())
            }
            Documents::Gguf { metadata, .. } => Self::from_gguf(metadata),
        }
    }

    /// From the texts of `tokenizer_config.json` and `chat_template.jinja`; the latter counts if both have one.
    pub fn from_hf(tokenizer_config: Option<&str>, chat_template: Option<&str>) -> Result<Option<Self>> {
        let config = HfConfig::parse(tokenizer_config, None, None)?;
        let source = chat_template.map(str::to_owned).or(config.chat_template);
        let (bos_token, eos_token) = (config.bos_token.unwrap_or_default(), config.eos_token.unwrap_or_default());
        Ok(source.map(|source| Self::from_source(&source, &bos_token, &eos_token)))
    }

    /// From the metadata of a GGUF file.
    pub fn from_gguf(metadata: &GgufMetadata) -> Result<Option<Self>> {
        let Some(source) = metadata.find_string("tokenizer.chat_template")? else { return Ok(None) };
        let tokens = metadata.find_strings("tokenizer.ggml.tokens")?.unwrap_or_default();
        let token = |key: &str| -> Result<&str> {
            let id = metadata.find_u32(key)?;
            Ok(id.and_then(|id| tokens.get(id as usize)).map_or("", String::as_str))
        };
        let bos_token = token("tokenizer.ggml.bos_token_id")?;
        Ok(Some(Self::from_source(source, bos_token, token("tokenizer.ggml.eos_token_id")?)))
    }

    /// From the template's text and what it knows as `bos_token` and `eos_token`. A mistake in the template comes to
    /// light when it is rendered, so that a model whose template is broken can still continue texts.
    pub fn from_source(source: &str, bos_token: &str, eos_token: &str) -> Self {
        Self { source: source.to_owned(), bos_token: bos_token.to_owned(), eos_token: eos_token.to_owned(), now: None }
    }

    /// Says what `strftime_now` shall give. Without it the function is not defined, and templates that can do without
    /// fall back on a date of their own.
    pub fn set_now(&mut self, now: Option<LocalTime>) {
        self.now = now;
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a conversation; with `add_generation_prompt`, up to where the assistant begins to speak.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        let source = without_generation_markers(&self.source);
        let mut environment = self.environment();
        environment.add_template(NAME, &source).map_err(|error| failed(&error))?;
        let template = environment.get_template(NAME).map_err(|error| failed(&error))?;
        let arguments = context! {
            messages => Value::from_serialize(messages),
            tools => (),
            documents => (),
            add_generation_prompt,
            bos_token => self.bos_token,
            eos_token => self.eos_token,
        };
        template.render(arguments).map_err(|error| failed(&error))
    }

    /// What transformers offers to a template.
    fn environment<'source>(&self) -> Environment<'source> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.set_formatter(write_as_python);
        environment.add_filter("tojson", json::to_json);
        // Python's None is not iterable, and templates ask before they count tools.
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_function("raise_exception", |message: String| -> std::result::Result<Value, _> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        if let Some(now) = self.now {
            environment.add_function("strftime_now", move |pattern: &str| now.format(pattern));
        }
        environment
    }
}

/// Python writes `None` and `True` where Jinja's other home writes `none` and `true`.
fn write_as_python(out: &mut Output, state: &State, value: &Value) -> std::result::Result<(), minijinja::Error> {
    let word = match (value.is_none(), value.kind(), value.is_true()) {
        (true, ..) => "None",
        (_, minijinja::value::ValueKind::Bool, true) => "True",
        (_, minijinja::value::ValueKind::Bool, false) => "False",
        _ => return minijinja::escape_formatter(out, state, value),
    };
    out.write_str(word).map_err(minijinja::Error::from)
}

/// The template without `{% generation %}` and `{% endgeneration %}`. They become comments, which keep the markers'
/// trimming of spaces.
fn without_generation_markers(source: &str) -> String {
    let mut cleaned = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, block) = rest.split_at(start);
        cleaned.push_str(before);
        let end = block.find("%}").map_or(block.len(), |end| end + 2);
        let (block, after) = block.split_at(end);
        let inside = block.trim_start_matches("{%").trim_end_matches("%}").trim_matches(['-', '+']).trim();
        if matches!(inside, "generation" | "endgeneration") {
            cleaned.push_str(&block.replace("{%", "{#").replace("%}", "#}"));
        } else {
            cleaned.push_str(block);
        }
        rest = after;
    }
    cleaned.push_str(rest);
    cleaned
}

/// What the template engine says, with the line; for `raise_exception`, what the template says.
fn failed(error: &minijinja::Error) -> Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let reason = match (error.kind(), error.line()) {
        (ErrorKind::OutOfFuel, _) => format!("it takes more than {FUEL} steps"),
        (_, Some(line)) => format!("{detail} (line {line})"),
        (_, None) => detail,
    };
    Error::Template { reason }
}
