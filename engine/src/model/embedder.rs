//! What turns texts into vectors: an encoder, or a decoder that was trained to do so.

use super::{Encoder, EncoderConfig, ModelConfig};
use crate::{
    Result,
    file::{Catalog, Documents, OpenedModel},
    protocol::Pooling,
};

/// A text is read in one piece, and the time for it grows with its square; GPUs end at 65,535 workgroups in a row.
const TOKENS_MAX: u32 = 1 << 15;

/// The shape of a model that turns texts into vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbedderConfig {
    /// Every token sees the whole text: BERT's family.
    Encoder(EncoderConfig),
    /// A decoder, whose head is left out.
    Decoder(Box<ModelConfig>),
}

impl EmbedderConfig {
    /// Reads and checks the configuration; `None` if the model is there to continue texts. A decoder makes vectors if
    /// sentence-transformers put its files beside it, if a GGUF names a pooling for it, or if its tokens see what stands
    /// behind them.
    pub fn find(opened: &OpenedModel) -> Result<Option<Self>> {
        if let Some(config) = EncoderConfig::find(&opened.documents)? {
            return Ok(Some(Self::Encoder(config)));
        }
        let has_modules = opened.embedding.modules.is_some();
        if !has_modules && !may_pool(&opened.documents)? {
            return Ok(None);
        }
        let config = ModelConfig::read(&opened.documents)?;
        // 0 leaves the choice open, and 4 ranks: such a model is asked in words.
        let is_pooled = matches!(config.gguf_pooling, Some(1..=3));
        Ok((has_modules || is_pooled || !config.causal).then(|| Self::Decoder(Box::new(config))))
    }

    /// The architecture's name.
    pub fn architecture(&self) -> &'static str {
        match self {
            Self::Encoder(config) => config.architecture.name,
            Self::Decoder(config) => config.architecture.name,
        }
    }

    /// Tokens of the longest text that the model was made for and that can be read here.
    pub fn positions(&self) -> u32 {
        let made_for = match self {
            Self::Encoder(config) => config.positions,
            Self::Decoder(config) => config.context_tokens,
        };
        made_for.min(TOKENS_MAX)
    }

    /// `pooling_type` of a GGUF, if it names one.
    pub(super) fn gguf_pooling(&self) -> Option<u32> {
        match self {
            Self::Encoder(config) => config.gguf_pooling,
            Self::Decoder(config) => config.gguf_pooling,
        }
    }

    /// What is done where no file says: the last token of a decoder is the only one that has seen the whole text.
    pub(super) fn usual_pooling(&self) -> Pooling {
        match self {
            Self::Encoder(_) => Pooling::Mean,
            Self::Decoder(_) => Pooling::Last,
        }
    }

    /// Records the plan of the model for texts of so many tokens.
    pub fn record(&self, catalog: &Catalog, tokens_max: u32) -> Result<Encoder> {
        match self {
            Self::Encoder(config) => Encoder::record(config.clone(), catalog, tokens_max),
            Self::Decoder(config) => Encoder::of_decoder(config, catalog, tokens_max),
        }
    }
}

/// Whether a decoder's configuration may ask for vectors, from a look at it that refuses nothing.
fn may_pool(documents: &Documents) -> Result<bool> {
    Ok(match documents {
        Documents::HuggingFace { config, .. } => {
            let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
            config["is_causal"] == false
        }
        Documents::Gguf { metadata, .. } => {
            let name = metadata.find_string("general.architecture")?.unwrap_or_default();
            metadata.find_u32(&format!("{name}.pooling_type"))?.is_some()
                || metadata.find_bool(&format!("{name}.attention.causal"))? == Some(false)
        }
    })
}
