//! A conversation to text.
//!
//! Models bring a Jinja template that writes a conversation the way they were trained to read it. Templates are written
//! against the Jinja2 of Python's transformers library, so the environment here has what that one has: blocks trimmed,
//! loop controls, Python's methods, `raise_exception`, `tojson` in Python's notation, `strftime_now`, and the
//! markers `{% generation %}`, which mean something in training only.
//!
//! A template comes with a model and is not trusted: it can reach nothing but its arguments, and one budget limits both
//! how many steps it takes and how much text it makes.

mod calendar;
mod dictionary;
mod ends;
mod input;
mod json;
mod kept;
mod limits;
mod python;
mod source;

pub use calendar::LocalTime;
pub(super) use ends::usual_ends;
pub use input::ChatInput;

use minijinja::{Environment, ErrorKind, Value, context};

use super::hf_config::{HfConfig, NamedTemplate};
use crate::{
    Error, Result,
    file::{Documents, GgufMetadata},
    protocol::ChatMessage,
};

/// What rendering may use up: a step of the template takes one, and so do 64 bytes of text, so that this is 128 MiB at
/// most. The largest real template takes some 200 steps a message.
const FUEL: u64 = 2_000_000;
/// The name under which the environment knows the template; error messages show it.
const NAME: &str = "chat_template";
/// The template for conversations with tools, where a model has one of its own for them.
const TOOL_USE: &str = "tool_use";
/// The template for answers from documents; taken only where it is asked for by its name.
const RAG: &str = "rag";
/// The template for all others.
const DEFAULT: &str = "default";

/// For models that bring no template: each turn is a line with the speaker's name, as in the transcripts that such
/// models have read. The system's text stands before the first turn.
const TRANSCRIPT: &str = "\
{%- if bos_token is defined %}{{ bos_token }}{% endif -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- message.content | trim + '\\n\\n' -}}
    {%- else -%}
        {{- message.role | capitalize + ': ' + message.content | trim + '\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif -%}
";

/// The Jinja template with which a model's conversations are written.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    /// At least one.
    templates: Vec<NamedTemplate>,
    /// What the template knows by name: `bos_token`, `eos_token`, ...
    tokens: Vec<(String, String)>,
    now: Option<LocalTime>,
    is_transcript: bool,
}

impl ChatTemplate {
    /// From whatever an opened model brought; `None` if it brought no template.
    pub fn from_documents(documents: &Documents) -> Result<Option<Self>> {
        match documents {
            Documents::HuggingFace { tokenizer_config, special_tokens_map, chat_template, more_templates, .. } => {
                let config = HfConfig::parse(tokenizer_config.as_deref(), None, None)?
                    .or_tokens(special_tokens_map.as_deref())?;
                Ok(Self::from_config(config, chat_template.as_deref(), more_templates))
            }
            Documents::Gguf { metadata, .. } => Self::from_gguf(metadata),
        }
    }

    /// From the texts of `tokenizer_config.json` and `chat_template.jinja`; the latter counts if both have one.
    pub fn from_hf(tokenizer_config: Option<&str>, chat_template: Option<&str>) -> Result<Option<Self>> {
        Ok(Self::from_config(HfConfig::parse(tokenizer_config, None, None)?, chat_template, &[]))
    }

    /// As transformers does it: templates that are files of their own replace those in `tokenizer_config.json`.
    fn from_config(config: HfConfig, chat_template: Option<&str>, more: &[(String, String)]) -> Option<Self> {
        let named = |name: &str, source: &str| NamedTemplate { name: name.to_owned(), source: source.to_owned() };
        let more = more.iter().map(|(name, source)| named(name, source));
        let files: Vec<_> = chat_template.map(|source| named(DEFAULT, source)).into_iter().chain(more).collect();
        let templates = if files.is_empty() { config.chat_templates } else { files };
        let tokens = config.special_tokens;
        (!templates.is_empty()).then_some(Self { templates, tokens, now: None, is_transcript: false })
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
        let mut template = Self::from_source(source, bos_token, token("tokenizer.ggml.eos_token_id")?);
        for name in [TOOL_USE, RAG] {
            if let Some(source) = metadata.find_string(&format!("tokenizer.chat_template.{name}"))? {
                template.templates.push(NamedTemplate { name: name.to_owned(), source: source.to_owned() });
            }
        }
        Ok(Some(template))
    }

    /// From the template's text and what it knows as `bos_token` and `eos_token`. A mistake in the template comes to
    /// light when it is rendered, so that a model whose template is broken can still continue texts.
    pub fn from_source(source: &str, bos_token: &str, eos_token: &str) -> Self {
        let token = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        Self {
            templates: vec![NamedTemplate { name: DEFAULT.to_owned(), source: source.to_owned() }],
            tokens: vec![token("bos_token", bos_token), token("eos_token", eos_token)],
            now: None,
            is_transcript: false,
        }
    }

    /// For a model that brought no template: `User: ...` and `Assistant: ...`, a turn a line, after the system's text
    /// and an empty line. [`Self::stop_texts`] then says where an answer ends.
    pub fn transcript(bos_token: &str) -> Self {
        Self { is_transcript: true, ..Self::from_source(TRANSCRIPT, bos_token, "") }
    }

    /// Texts before which an answer ends, beside the tokenizer's [`super::Tokenizer::end_of_turn`]: none, but for
    /// [`Self::transcript`], where a model would go on and write the person's next line as well.
    pub fn stop_texts(&self) -> &'static [&'static str] {
        // The longer ones too, so that an empty line before the next turn is no part of the answer.
        const TURNS: [&str; 6] = ["\nUser:", "\nSystem:", "\nAssistant:", "\n\nUser:", "\n\nSystem:", "\n\nAssistant:"];
        if self.is_transcript { &TURNS } else { &[] }
    }

    /// Whether the model brought none, and this one stands in.
    pub fn is_transcript(&self) -> bool {
        self.is_transcript
    }

    /// Says what `strftime_now` shall give. Without it the function is not defined, and templates that can do without
    /// fall back on a date of their own.
    pub fn set_now(&mut self, now: Option<LocalTime>) {
        self.now = now;
    }

    /// The text of the template for plain conversations.
    pub fn source(&self) -> &str {
        self.any(false)
    }

    /// The text of the template for conversations with tools.
    pub fn tool_source(&self) -> &str {
        self.any(true)
    }

    /// The texts of all templates.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> + Clone {
        self.templates.iter().map(|template| template.source.as_str())
    }

    /// The template that transformers would take: that of a name, if one is given.
    fn find(&self, name: Option<&str>, has_tools: bool) -> Result<&str> {
        // Of two of one name the last counts.
        let named = |name: &str| self.templates.iter().rfind(|template| template.name == name);
        let found = match name {
            Some(name) => named(name),
            None => named(TOOL_USE).filter(|_| has_tools).or_else(|| named(DEFAULT)),
        };
        found.map(|template| template.source.as_str()).ok_or_else(|| {
            let names: Vec<_> = self.templates.iter().map(|template| template.name.as_str()).collect();
            let wanted = name.unwrap_or("plain conversations");
            Error::Template { reason: format!("the model brought none for {wanted}, only for {}", names.join(", ")) }
        })
    }

    /// The same, or else any.
    fn any(&self, has_tools: bool) -> &str {
        let first = self.templates.first().map_or("", |template| template.source.as_str());
        self.find(None, has_tools).unwrap_or(first)
    }

    /// Writes a conversation of plain texts; with `add_generation_prompt`, up to where the assistant begins to speak.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        self.render_input(&ChatInput::new(messages, add_generation_prompt)?)
    }

    /// Writes a conversation.
    pub fn render_input(&self, input: &ChatInput) -> Result<String> {
        let source = source::rewritten(self.find(input.template.as_deref(), input.tools.is_some())?);
        if let Some(reason) = limits::excess(&source) {
            return Err(Error::Template { reason });
        }
        let (messages, last) = input.prepared()?;
        let mut environment = self.environment();
        environment.add_template(NAME, &source).map_err(|error| failed(&error))?;
        let template = environment.get_template(NAME).map_err(|error| failed(&error))?;
        let list = |values: &[serde_json::Value]| values.iter().map(dictionary::value).collect::<Value>();
        let optional = |values: &Option<Vec<_>>| values.as_deref().map_or(Value::from(()), list);
        let tokens = self.tokens.iter().map(|(name, text)| (name.as_str(), Value::from(text.as_str())));
        let variables = input.variables.iter().map(|(name, value)| (name.as_str(), dictionary::value(value)));
        let arguments = context! {
            messages => list(&messages),
            tools => optional(&input.tools),
            documents => optional(&input.documents),
            add_generation_prompt => input.add_generation_prompt,
            ..Value::from_pairs(tokens.chain(variables)),
        };
        let rendered = template.render(arguments).map_err(|error| failed(&error))?;
        match last {
            Some(last) => input::cut_after(&rendered, &last),
            None => Ok(rendered),
        }
    }

    /// What transformers offers to a template.
    fn environment<'source>(&self) -> Environment<'source> {
        let mut environment = Environment::new();
        let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        // The delimiters are Jinja's own, which cannot contradict each other.
        environment.set_syntax(syntax.unwrap_or_default());
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        python::add_to(&mut environment);
        kept::add_to(&mut environment);
        environment.add_filter("tojson", json::to_json);
        environment.add_function("raise_exception", |message: Value| -> std::result::Result<Value, _> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message.to_string()))
        });
        if let Some(now) = self.now {
            environment.add_function("strftime_now", move |pattern: &str| now.format(pattern));
        }
        environment
    }
}

/// What the template engine says, with the line; for `raise_exception`, what the template says.
fn failed(error: &minijinja::Error) -> Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let reason = match (error.kind(), error.line()) {
        (ErrorKind::OutOfFuel, _) => {
            format!("it takes more than {FUEL} steps or makes more than {} MiB of text", (FUEL * 64) >> 20)
        }
        (_, Some(line)) => format!("{detail} (line {line})"),
        (_, None) => detail,
    };
    Error::Template { reason }
}
