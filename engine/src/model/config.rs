//! A model's shape, from `config.json` or from a GGUF's metadata, checked before anything is built on it.

use serde::Deserialize;

use super::{Architecture, Naming};
use crate::{
    Error, Result,
    file::{Documents, GgufMetadata},
    kernel,
};

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
    /// Added to the mean square before the root.
    pub norm_epsilon: f32,
    /// Positions.
    pub rope: RopeConfig,
    /// Tokens of context that the model was made for.
    pub context_tokens: u32,
    /// Whether the embedding serves as head too.
    pub tied_embedding: bool,
    /// Tokens that end a turn.
    pub end_tokens: Vec<u32>,
}

/// How positions turn queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// The base of the frequencies.
    pub theta: f64,
    /// How many of a head's numbers turn.
    pub rotary: u32,
    /// Whether the pairs are neighbours rather than halves apart.
    pub interleaved: bool,
    /// How the frequencies were stretched for a longer context.
    pub scaling: RopeScaling,
}

/// A stretch of the frequencies.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// None.
    None,
    /// Every frequency divided by the factor (Chen et al. 2023).
    Linear {
        /// By how much.
        factor: f64,
    },
}

impl RopeConfig {
    /// The angle by which each pair turns from one position to the next, in radians.
    pub fn frequencies(&self) -> Vec<f64> {
        let stretch = match self.scaling {
            RopeScaling::None => 1.0,
            RopeScaling::Linear { factor } => factor,
        };
        (0..self.rotary / 2)
            .map(|pair| self.theta.powf(-2.0 * f64::from(pair) / f64::from(self.rotary)) / stretch)
            .collect()
    }
}

/// The largest sizes that are believed: beyond them a configuration is damaged or hostile.
const VOCAB_MAX: u32 = 1 << 21;
const WIDTH_MAX: u32 = 1 << 18;
const LAYERS_MAX: u32 = 1 << 10;
const HEADS_MAX: u32 = 1 << 12;
const CONTEXT_MAX: u32 = 1 << 24;

/// The fields of `config.json` that matter here.
#[derive(Deserialize)]
struct HfConfig {
    model_type: Option<String>,
    vocab_size: Option<u32>,
    hidden_size: Option<u32>,
    num_hidden_layers: Option<u32>,
    num_attention_heads: Option<u32>,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    intermediate_size: Option<u32>,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f64>,
    rope_scaling: Option<HfRope>,
    rope_parameters: Option<HfRope>,
    max_position_embeddings: Option<u32>,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    eos_token_id: Option<Tokens>,
}

/// `rope_scaling` before transformers 5, `rope_parameters` from then on.
#[derive(Clone, Deserialize)]
struct HfRope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f64>,
    rope_theta: Option<f64>,
}

/// One token or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tokens {
    One(u32),
    Many(Vec<u32>),
}

impl Tokens {
    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(token) => vec![token],
            Self::Many(tokens) => tokens,
        }
    }
}

#[derive(Deserialize)]
struct HfGeneration {
    eos_token_id: Option<Tokens>,
}

impl ModelConfig {
    /// Reads and checks the configuration.
    pub fn read(documents: &Documents) -> Result<Self> {
        let config = match documents {
            Documents::HuggingFace { config, generation_config, .. } => {
                Self::from_hf(config, generation_config.as_deref())?
            }
            Documents::Gguf { metadata, .. } => Self::from_gguf(metadata)?,
        };
        config.check()?;
        Ok(config)
    }

    fn from_hf(config: &str, generation: Option<&str>) -> Result<Self> {
        let hf: HfConfig = serde_json::from_str(config).map_err(|error| Error::malformed("config.json", error))?;
        let generation: Option<HfGeneration> = generation
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| Error::malformed("generation_config.json", error))?;
        let architecture = Architecture::find(hf.model_type.as_deref().unwrap_or("(none)"))?;
        if hf.hidden_act.as_deref().is_some_and(|activation| activation != "silu") {
            return Err(Error::config("hidden_act", "is not silu"));
        }
        if hf.attention_bias == Some(true) || hf.mlp_bias == Some(true) {
            return Err(Error::config("attention_bias or mlp_bias", "is set; biases are not supported"));
        }
        let hidden = need(hf.hidden_size, "hidden_size")?;
        let heads = need(hf.num_attention_heads, "num_attention_heads")?;
        let head_dim = hf.head_dim.or_else(|| hidden.checked_div(heads)).unwrap_or(0);
        let rope = hf.rope_parameters.or(hf.rope_scaling);
        let mut end_tokens = generation.and_then(|generation| generation.eos_token_id).map_or(vec![], Tokens::into_vec);
        end_tokens.extend(hf.eos_token_id.map_or(vec![], Tokens::into_vec));
        end_tokens.sort_unstable();
        end_tokens.dedup();
        Ok(Self {
            architecture,
            naming: Naming::HuggingFace,
            vocab_size: need(hf.vocab_size, "vocab_size")?,
            hidden,
            layers: need(hf.num_hidden_layers, "num_hidden_layers")?,
            heads,
            kv_heads: hf.num_key_value_heads.unwrap_or(heads),
            head_dim,
            feed_forward: need(hf.intermediate_size, "intermediate_size")?,
            norm_epsilon: need(hf.rms_norm_eps, "rms_norm_eps")?,
            rope: RopeConfig {
                theta: rope.as_ref().and_then(|rope| rope.rope_theta).or(hf.rope_theta).unwrap_or(10_000.0),
                rotary: head_dim,
                interleaved: false,
                scaling: scaling(
                    rope.as_ref().and_then(|rope| rope.rope_type.as_deref()),
                    rope.as_ref().and_then(|rope| rope.factor),
                )?,
            },
            context_tokens: need(hf.max_position_embeddings, "max_position_embeddings")?,
            tied_embedding: hf.tie_word_embeddings.unwrap_or(false),
            end_tokens,
        })
    }

    fn from_gguf(metadata: &GgufMetadata) -> Result<Self> {
        let architecture = Architecture::find(metadata.string("general.architecture")?)?;
        let key = |name: &str| format!("{}.{name}", architecture.name);
        let number = |name: &str| metadata.u32(&key(name));
        let optional = |name: &str| metadata.find_u32(&key(name));
        let hidden = number("embedding_length")?;
        let heads = number("attention.head_count")?;
        let head_dim = match optional("attention.key_length")? {
            Some(length) => length,
            None => hidden.checked_div(heads).unwrap_or(0),
        };
        let vocab_size = match optional("vocab_size")? {
            Some(size) => size,
            None => u32::try_from(metadata.array("tokenizer.ggml.tokens")?.len()).unwrap_or(u32::MAX),
        };
        let theta = metadata.find_f32(&key("rope.freq_base"))?.map_or(10_000.0, f64::from);
        let factor = metadata.find_f32(&key("rope.scaling.factor"))?.map(f64::from);
        let stretch = scaling(metadata.find_string(&key("rope.scaling.type"))?, factor)?;
        let mut end_tokens = Vec::new();
        for name in ["eos_token_id", "eot_token_id", "eom_token_id"] {
            end_tokens.extend(metadata.find_u32(&format!("tokenizer.ggml.{name}"))?);
        }
        Ok(Self {
            architecture,
            naming: Naming::Gguf,
            vocab_size,
            hidden,
            layers: number("block_count")?,
            heads,
            kv_heads: optional("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            feed_forward: number("feed_forward_length")?,
            norm_epsilon: metadata.f32(&key("attention.layer_norm_rms_epsilon"))?,
            rope: RopeConfig {
                theta,
                rotary: optional("rope.dimension_count")?.unwrap_or(head_dim),
                interleaved: architecture.gguf_rope_interleaved,
                scaling: stretch,
            },
            context_tokens: number("context_length")?,
            // A GGUF says so by leaving the head out; the record looks for it.
            tied_embedding: false,
            end_tokens,
        })
    }

    fn check(&self) -> Result<()> {
        let within = |field: &str, value: u32, max: u32| {
            if value == 0 || value > max {
                return Err(Error::config(field, format!("is {value}, but must lie between 1 and {max}")));
            }
            Ok(())
        };
        within("vocab_size", self.vocab_size, VOCAB_MAX)?;
        within("hidden_size", self.hidden, WIDTH_MAX)?;
        within("intermediate_size", self.feed_forward, WIDTH_MAX)?;
        within("num_hidden_layers", self.layers, LAYERS_MAX)?;
        within("num_attention_heads", self.heads, HEADS_MAX)?;
        within("num_key_value_heads", self.kv_heads, self.heads)?;
        within("head_dim", self.head_dim, kernel::HEAD_DIM_MAX)?;
        within("max_position_embeddings", self.context_tokens, CONTEXT_MAX)?;
        within("rotary dimensions", self.rope.rotary, self.head_dim)?;
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::config("num_attention_heads", "is not a multiple of num_key_value_heads"));
        }
        for (field, value) in
            [("hidden_size", self.hidden), ("intermediate_size", self.feed_forward), ("head_dim", self.head_dim)]
        {
            if !value.is_multiple_of(4) {
                return Err(Error::config(field, format!("is {value}, which is not a multiple of 4")));
            }
        }
        if !self.rope.rotary.is_multiple_of(2) {
            return Err(Error::config("rotary dimensions", "are an odd number"));
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return Err(Error::config("rms_norm_eps", format!("is {}", self.norm_epsilon)));
        }
        if !(self.rope.theta > 1.0 && self.rope.theta.is_finite()) {
            return Err(Error::config("rope_theta", format!("is {}", self.rope.theta)));
        }
        Ok(())
    }
}

fn need<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Error::config(field, "is missing"))
}

fn scaling(kind: Option<&str>, factor: Option<f64>) -> Result<RopeScaling> {
    match kind {
        None | Some("default" | "none") => Ok(RopeScaling::None),
        Some("linear") => match factor {
            Some(factor) if factor >= 1.0 && factor.is_finite() => Ok(RopeScaling::Linear { factor }),
            _ => Err(Error::config("rope scaling factor", "is missing or below 1")),
        },
        Some(other) => Err(Error::config("rope scaling", format!("is {other:?}, which is not supported"))),
    }
}
