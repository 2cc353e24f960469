//! What each weight of an encoder is called in a file.

use super::EncoderNaming;
use crate::file::Catalog;

/// What a weight and its bias are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Words,
    Positions,
    Types,
    EmbeddingNorm,
    Query,
    Key,
    Value,
    AttentionOutput,
    AttentionNorm,
    Up,
    Down,
    FeedForwardNorm,
}

/// The names of one model's file.
pub struct Names {
    naming: EncoderNaming,
    /// What transformers puts before all names where the encoder is part of a larger model: "bert.", ...
    prefix: &'static str,
}

impl Names {
    /// Looks whether the file's names have something in front.
    pub fn find(naming: EncoderNaming, catalog: &Catalog) -> Self {
        let words = "embeddings.word_embeddings.weight";
        let prefix = ["bert.", "roberta.", "model."]
            .into_iter()
            .find(|prefix| catalog.tensors.contains_key(&format!("{prefix}{words}")))
            .unwrap_or("");
        Self { naming, prefix }
    }

    /// What stands before all names.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// A weight's name; `layer` is ignored for those that stand outside the layers. Checkpoints from before 2020 call a
    /// norm's weight `gamma`.
    pub fn weight(&self, part: Part, layer: u32, catalog: &Catalog) -> String {
        self.of(part, layer, catalog, ["weight", "gamma"])
    }

    /// Its bias's name; in old checkpoints a norm's is `beta`.
    pub fn bias(&self, part: Part, layer: u32, catalog: &Catalog) -> String {
        self.of(part, layer, catalog, ["bias", "beta"])
    }

    fn of(&self, part: Part, layer: u32, catalog: &Catalog, [usual, old]: [&str; 2]) -> String {
        let stem = match self.naming {
            EncoderNaming::HuggingFace => format!("{}{}", self.prefix, hugging_face(part, layer)),
            EncoderNaming::Gguf => gguf(part, layer),
        };
        let older = format!("{stem}.{old}");
        if catalog.tensors.contains_key(&older) { older } else { format!("{stem}.{usual}") }
    }
}

fn hugging_face(part: Part, layer: u32) -> String {
    let within = match part {
        Part::Words => return "embeddings.word_embeddings".into(),
        Part::Positions => return "embeddings.position_embeddings".into(),
        Part::Types => return "embeddings.token_type_embeddings".into(),
        Part::EmbeddingNorm => return "embeddings.LayerNorm".into(),
        Part::Query => "attention.self.query",
        Part::Key => "attention.self.key",
        Part::Value => "attention.self.value",
        Part::AttentionOutput => "attention.output.dense",
        Part::AttentionNorm => "attention.output.LayerNorm",
        Part::Up => "intermediate.dense",
        Part::Down => "output.dense",
        Part::FeedForwardNorm => "output.LayerNorm",
    };
    format!("encoder.layer.{layer}.{within}")
}

fn gguf(part: Part, layer: u32) -> String {
    let within = match part {
        Part::Words => return "token_embd".into(),
        Part::Positions => return "position_embd".into(),
        Part::Types => return "token_types".into(),
        Part::EmbeddingNorm => return "token_embd_norm".into(),
        Part::Query => "attn_q",
        Part::Key => "attn_k",
        Part::Value => "attn_v",
        Part::AttentionOutput => "attn_output",
        Part::AttentionNorm => "attn_output_norm",
        Part::Up => "ffn_up",
        Part::Down => "ffn_down",
        Part::FeedForwardNorm => "layer_output_norm",
    };
    format!("blk.{layer}.{within}")
}
