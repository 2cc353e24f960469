//! A model's shape, from `config.json` or from a GGUF's metadata, checked before anything is built on it.

use super::{Architecture, Naming, RopeConfig};
use crate::{Error, Result, file::Documents, kernel};

/// A decoder's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which block.
    pub architecture: Architecture,
    /// Who named the tensors.
    pub naming: Naming,
    /// Tokens in the vocabulary.
    pub vocab_size: u32,
    /// Length of a token's vector.
    pub hidden: u32,
    /// Number of blocks.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Length of a head's vector.
    pub head_dim: u32,
    /// Width of the feed-forward layer.
    pub feed_forward: u32,
    /// The mixture of experts that takes the feed-forward layer's place.
    pub experts: Option<ExpertConfig>,
    /// Added to the mean square before the root.
    pub norm_epsilon: f32,
    /// The ways in which positions turn queries and keys.
    pub ropes: Vec<RopeConfig>,
    /// What differs from layer to layer.
    pub layer_kinds: Vec<LayerConfig>,
    /// Whether all projections of attention have biases; `None` if the tensors tell.
    pub attention_bias: Option<bool>,
    /// The same of the feed-forward layer.
    pub feed_forward_bias: Option<bool>,
    /// What numbers are multiplied by, and where they are bent.
    pub scales: Scales,
    /// Tokens of context that the model was made for.
    pub context_tokens: u32,
    /// Whether a token sees only what stands before it. Without that a model can only turn texts into vectors.
    pub causal: bool,
    /// `pooling_type` of a GGUF, if it names one: 1 mean, 2 the first token, 3 the last.
    pub gguf_pooling: Option<u32>,
    /// Whether the embedding serves as head too; `None` if the absence of a head tells.
    pub tied_embedding: Option<bool>,
    /// Tokens that end a turn.
    pub end_tokens: Vec<u32>,
}

/// What differs from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerConfig {
    /// Which of [`ModelConfig::ropes`] turns its queries and keys.
    pub rope: Option<usize>,
    /// How many positions it sees, its own the last; 0 for all.
    pub window: u32,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertConfig {
    /// How many there are.
    pub count: u32,
    /// How many a token goes to.
    pub used: u32,
    /// Width of one expert's feed-forward layer.
    pub feed_forward: u32,
    /// Whether the shares of the chosen ones are made to add up to 1.
    pub renormalise: bool,
}

/// What numbers are multiplied by on their way, and where they are bent below a cap (0 for no cap).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Of embeddings.
    pub embedding: f32,
    /// Of what attention and the feed-forward layer add to the stream.
    pub residual: f32,
    /// Of attention's scores.
    pub attention: f32,
    /// The cap of attention's scores.
    pub attention_softcap: f32,
    /// Of the logits.
    pub logits: f32,
    /// The cap of the logits.
    pub logits_softcap: f32,
}

/// The largest sizes that are believed: beyond them a configuration is damaged or hostile.
const VOCAB_MAX: u32 = 1 << 21;
const WIDTH_MAX: u32 = 1 << 18;
const LAYERS_MAX: u32 = 1 << 10;
const HEADS_MAX: u32 = 1 << 12;
const CONTEXT_MAX: u32 = 1 << 24;

impl ModelConfig {
    /// Reads and checks the configuration.
    pub fn read(documents: &Documents) -> Result<Self> {
        let config = match documents {
            Documents::HuggingFace { config, generation_config, .. } => {
                super::hf::read(config, generation_config.as_deref())?
            }
            Documents::Gguf { metadata, .. } => super::gguf::read(metadata)?,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.check_sizes()?;
        if self.layer_kinds.len() != self.layers as usize {
            let reason = format!("lists {} layers, but there are {}", self.layer_kinds.len(), self.layers);
            return Err(Error::config("layer_types or no_rope_layers", reason));
        }
        for rope in &self.ropes {
            rope.check(self.head_dim)?;
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return Err(Error::config("rms_norm_eps", format!("is {}", self.norm_epsilon)));
        }
        let Scales { embedding, residual, attention, attention_softcap, logits, logits_softcap } = self.scales;
        for (field, value) in [
            ("embedding_multiplier", embedding),
            ("residual_multiplier", residual),
            ("attention_multiplier or query_pre_attn_scalar", attention),
            ("logits_scaling", logits),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::config(field, format!("makes a factor of {value}")));
            }
        }
        for (field, value) in
            [("attn_logit_softcapping", attention_softcap), ("final_logit_softcapping", logits_softcap)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::config(field, format!("is {value}")));
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<()> {
        within("vocab_size", self.vocab_size, VOCAB_MAX)?;
        within("hidden_size", self.hidden, WIDTH_MAX)?;
        within("intermediate_size", self.feed_forward, WIDTH_MAX)?;
        check_layers(self.layers)?;
        within("num_attention_heads", self.heads, HEADS_MAX)?;
        within("num_key_value_heads", self.kv_heads, self.heads)?;
        within("head_dim", self.head_dim, kernel::HEAD_DIM_MAX)?;
        within("max_position_embeddings", self.context_tokens, CONTEXT_MAX)?;
        let mut widths =
            vec![("hidden_size", self.hidden), ("intermediate_size", self.feed_forward), ("head_dim", self.head_dim)];
        if let Some(experts) = self.experts {
            within("num_experts", experts.count, kernel::EXPERTS_MAX)?;
            within("num_experts_per_tok", experts.used, experts.count.min(kernel::SLOTS_MAX))?;
            within("moe_intermediate_size", experts.feed_forward, WIDTH_MAX)?;
            widths.push(("moe_intermediate_size", experts.feed_forward));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::config("num_attention_heads", "is not a multiple of num_key_value_heads"));
        }
        for (field, value) in widths {
            if !value.is_multiple_of(4) {
                return Err(Error::config(field, format!("is {value}, which is not a multiple of 4")));
            }
        }
        Ok(())
    }
}

/// Refuses more layers than anyone would list.
pub(super) fn check_layers(layers: u32) -> Result<()> {
    within("num_hidden_layers", layers, LAYERS_MAX)
}

fn within(field: &str, value: u32, max: u32) -> Result<()> {
    if value == 0 || value > max {
        return Err(Error::config(field, format!("is {value}, but must lie between 1 and {max}")));
    }
    Ok(())
}
