//! A conversation to text.

use crate::{Error, Result, file::Documents, file::GgufMetadata, protocol::ChatMessage};

/// The moment that a template may ask for: the engine has no clock, so the host says. Local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the calendar's word")]
pub struct LocalTime {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// The Jinja template with which a model's conversations are written.
pub struct ChatTemplate {
    source: String,
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
        let _ = (tokenizer_config, chat_template);
        Ok(None)
    }

    /// From the metadata of a GGUF file.
    pub fn from_gguf(metadata: &GgufMetadata) -> Result<Option<Self>> {
        let _ = metadata;
        Ok(None)
    }

    /// Says what `strftime_now` shall give. Without it the function is not defined, and templates that can do
    /// without fall back on a date of their own.
    pub fn set_now(&mut self, now: Option<LocalTime>) {
        self.now = now;
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a conversation; with `add_generation_prompt`, up to where the assistant begins to speak.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        let _ = (messages, add_generation_prompt);
        Err(Error::Template { reason: "not rendered yet".to_owned() })
    }
}
