//! An encoder's shape, from `config.json` or from a GGUF's metadata, checked before anything is built on it.

use serde::Deserialize;

use crate::{
    Error, Result,
    file::{Documents, GgufMetadata},
    kernel,
};

/// What tells one encoder architecture from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderArchitecture {
    /// `model_type` in config.json and `general.architecture` in GGUF.
    pub name: &'static str,
    /// Whether rows of the position table before and at the padding token's number stand for no position: the first
    /// token has the row behind them (Liu et al. 2019, as fairseq counts).
    pub positions_after_padding: bool,
}

/// All known encoders. Adding one that has BERT's block is a line here and a golden test.
const KNOWN: &[EncoderArchitecture] = &[
    EncoderArchitecture { name: "bert", positions_after_padding: false },
    EncoderArchitecture { name: "roberta", positions_after_padding: true },
    EncoderArchitecture { name: "xlm-roberta", positions_after_padding: true },
];

impl EncoderArchitecture {
    /// The encoder of that name, if it is one.
    pub fn find(name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.name == name).copied()
    }
}

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderNaming {
    /// transformers: `encoder.layer.0.attention.self.query.weight`.
    HuggingFace,
    /// llama.cpp: `blk.0.attn_q.weight`.
    Gguf,
}

/// An encoder's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Which block.
    pub architecture: EncoderArchitecture,
    /// Who named the tensors.
    pub naming: EncoderNaming,
    /// Tokens in the vocabulary.
    pub vocab_size: u32,
    /// Length of a token's vector, and of a text's.
    pub hidden: u32,
    /// Number of blocks.
    pub layers: u32,
    /// Heads of the attention.
    pub heads: u32,
    /// Width of the feed-forward layer.
    pub feed_forward: u32,
    /// Added to the variance before the root.
    pub norm_epsilon: f32,
    /// Whether the activation is GELU's form with tanh rather than the exact one.
    pub gelu_tanh: bool,
    /// The position table's row for the first token.
    pub first_position: u32,
    /// Tokens of the longest text that the position table has rows for.
    pub positions: u32,
    /// `pooling_type` of a GGUF, if it names one: 1 mean, 2 the first token, 3 the last.
    pub gguf_pooling: Option<u32>,
}

/// The largest sizes that are believed: beyond them a configuration is damaged or hostile.
const VOCAB_MAX: u32 = 1 << 21;
const WIDTH_MAX: u32 = 1 << 18;
const LAYERS_MAX: u32 = 1 << 10;
const HEADS_MAX: u32 = 1 << 12;
const POSITIONS_MAX: u32 = 1 << 20;

/// The fields of `config.json` that matter here.
#[derive(Deserialize)]
struct HfConfig {
    vocab_size: Option<u32>,
    hidden_size: Option<u32>,
    num_hidden_layers: Option<u32>,
    num_attention_heads: Option<u32>,
    intermediate_size: Option<u32>,
    layer_norm_eps: Option<f32>,
    max_position_embeddings: Option<u32>,
    pad_token_id: Option<u32>,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
}

#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
}

impl EncoderConfig {
    /// Reads and checks the configuration; `None` if the model is no encoder.
    pub fn find(documents: &Documents) -> Result<Option<Self>> {
        let name = match documents {
            Documents::HuggingFace { config, .. } => parse::<ModelType>(config)?.model_type,
            Documents::Gguf { metadata, .. } => metadata.find_string("general.architecture")?.map(str::to_owned),
        };
        let Some(architecture) = name.as_deref().and_then(EncoderArchitecture::find) else { return Ok(None) };
        let config = match documents {
            Documents::HuggingFace { config, .. } => Self::from_hf(architecture, config)?,
            Documents::Gguf { metadata, .. } => Self::from_gguf(architecture, metadata)?,
        };
        config.check()?;
        Ok(Some(config))
    }

    fn from_hf(architecture: EncoderArchitecture, config: &str) -> Result<Self> {
        let hf: HfConfig = parse(config)?;
        if hf.is_decoder == Some(true) {
            return Err(Error::config("is_decoder", "is set, but only encoders of this architecture are known"));
        }
        if hf.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return Err(Error::config("position_embedding_type", "is not absolute"));
        }
        let first_position = match (architecture.positions_after_padding, hf.pad_token_id) {
            (true, padding) => padding.unwrap_or(1).saturating_add(1),
            (false, _) => 0,
        };
        let rows = need(hf.max_position_embeddings, "max_position_embeddings")?;
        Ok(Self {
            architecture,
            naming: EncoderNaming::HuggingFace,
            vocab_size: need(hf.vocab_size, "vocab_size")?,
            hidden: need(hf.hidden_size, "hidden_size")?,
            layers: need(hf.num_hidden_layers, "num_hidden_layers")?,
            heads: need(hf.num_attention_heads, "num_attention_heads")?,
            feed_forward: need(hf.intermediate_size, "intermediate_size")?,
            norm_epsilon: hf.layer_norm_eps.unwrap_or(1e-12),
            gelu_tanh: is_tanh(hf.hidden_act.as_deref().unwrap_or("gelu"))?,
            first_position,
            positions: rows.saturating_sub(first_position),
            gguf_pooling: None,
        })
    }

    /// A GGUF's position table begins with the first token's row: its converters cut off what stands before.
    fn from_gguf(architecture: EncoderArchitecture, metadata: &GgufMetadata) -> Result<Self> {
        let key = |name: &str| format!("{}.{name}", architecture.name);
        let number = |name: &str| metadata.u32(&key(name));
        let tokens = || metadata.array("tokenizer.ggml.tokens").map(|tokens| tokens.len());
        Ok(Self {
            architecture,
            naming: EncoderNaming::Gguf,
            vocab_size: match metadata.find_u32(&key("vocab_size"))? {
                Some(size) => size,
                None => u32::try_from(tokens()?).unwrap_or(u32::MAX),
            },
            hidden: number("embedding_length")?,
            layers: number("block_count")?,
            heads: number("attention.head_count")?,
            feed_forward: number("feed_forward_length")?,
            norm_epsilon: metadata.f32(&key("attention.layer_norm_epsilon"))?,
            gelu_tanh: false,
            first_position: 0,
            positions: number("context_length")?,
            gguf_pooling: metadata.find_u32(&key("pooling_type"))?,
        })
    }

    /// Length of a head's vector.
    pub fn head_dim(&self) -> u32 {
        self.hidden / self.heads
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
        within("max_position_embeddings", self.positions, POSITIONS_MAX)?;
        if !self.hidden.is_multiple_of(self.heads) {
            return Err(Error::config("hidden_size", "is not a multiple of num_attention_heads"));
        }
        within("hidden_size / num_attention_heads", self.head_dim(), kernel::HEAD_DIM_MAX)?;
        for (field, value) in
            [("intermediate_size", self.feed_forward), ("hidden_size / num_attention_heads", self.head_dim())]
        {
            if !value.is_multiple_of(4) {
                return Err(Error::config(field, format!("is {value}, which is not a multiple of 4")));
            }
        }
        // BERT's own is 1e-12, which vanishes beside any variance; 0 would divide by it.
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return Err(Error::config("layer_norm_eps", format!("is {}", self.norm_epsilon)));
        }
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(config: &'a str) -> Result<T> {
    serde_json::from_str(config).map_err(|error| Error::malformed("config.json", error))
}

fn need<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Error::config(field, "is missing"))
}

/// transformers' names of the exact form and of that with tanh.
fn is_tanh(activation: &str) -> Result<bool> {
    match activation {
        "gelu" | "gelu_python" => Ok(false),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast" | "gelu_accurate" => Ok(true),
        other => Err(Error::config("hidden_act", format!("is {other:?}, but gelu and gelu_new are known"))),
    }
}
