//! Text to tokens.

use crate::{
    Error, Result,
    file::{Documents, GgufMetadata},
    protocol::ChatMessage,
    text::ChatTemplate,
};

/// How a text becomes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether a special token that is spelled out in the text becomes that token (`true`) or plain text (`false`).
    pub parse_special: bool,
    /// Whether the tokens with which this model's texts begin (BOS, if it wants one) are put in front.
    pub add_special: bool,
}

/// Cuts text into tokens as the model was trained to.
pub struct Tokenizer {
    bos: Option<u32>,
    end_of_turn: Vec<u32>,
}

impl Tokenizer {
    /// From whatever an opened model brought.
    pub fn from_documents(documents: &Documents) -> Result<Self> {
        match documents {
            Documents::HuggingFace { tokenizer, .. } => Self::from_json(tokenizer),
            Documents::Gguf { metadata, .. } => Self::from_gguf(metadata),
        }
    }

    /// From the text of a `tokenizer.json`.
    pub fn from_json(tokenizer_json: &str) -> Result<Self> {
        let _ = tokenizer_json;
        Err(Error::Tokenizer { reason: "not read yet".to_owned() })
    }

    /// From the metadata of a GGUF file.
    pub fn from_gguf(metadata: &GgufMetadata) -> Result<Self> {
        let _ = metadata;
        Err(Error::Tokenizer { reason: "not read yet".to_owned() })
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let _ = (text, options);
        Err(Error::Tokenizer { reason: "not read yet".to_owned() })
    }

    /// The tokens of a conversation, rendered with the template. A special token that a message's content spells out
    /// stays plain text; only the template makes special tokens.
    pub fn encode_chat(
        &self,
        template: &ChatTemplate,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<Vec<u32>> {
        let _ = (template, messages, add_generation_prompt);
        Err(Error::Tokenizer { reason: "not read yet".to_owned() })
    }

    /// The text of tokens, special ones hidden: what a [`super::TextStream`] gives for them in all.
    pub fn decode(&self, ids: &[u32]) -> String {
        let _ = ids;
        String::new()
    }

    /// The token of that spelling, added and special tokens included.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        let _ = token;
        None
    }

    /// The bytes that a token stands for; `None` if there is no such token. A special token's are its spelling.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        let _ = id;
        None
    }

    /// Whether a token is special: hidden in text, and never made from a message's content.
    pub fn is_special(&self, id: u32) -> bool {
        let _ = id;
        false
    }

    /// One more than the greatest id.
    pub fn vocab_size(&self) -> usize {
        0
    }

    /// The token with which texts begin, if the model names one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The tokens that end an answer, in no order.
    pub fn end_of_turn(&self) -> &[u32] {
        &self.end_of_turn
    }
}
