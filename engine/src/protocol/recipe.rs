//! What quantising a model would save and lose.

use serde::{Deserialize, Serialize};

use super::Fit;

/// What is measured of several models that were made of one: the content of a `frontier.json`, which
/// `hearth eval frontier -o` writes and which lies beside a model's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Frontier {
    /// Of this description; 1.
    pub version: u32,
    /// The model that all were made of and are compared with.
    pub reference: String,
    /// What they read, in words.
    pub text: String,
    /// Each of them.
    pub points: Vec<FrontierPoint>,
}

/// A model beside the one that it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct FrontierPoint {
    /// Its name.
    pub model: String,
    /// Bytes of all of its tensors, as stored.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub weights_bytes: u64,
    /// Over the whole model.
    pub bits_per_weight: f64,
    /// Over its linear layers: all but tables of embeddings, the head and norms.
    pub linear_bits_per_weight: f64,
    /// How far its predictions lie from the reference's, in nats: Kullback and Leibler's divergence.
    pub kl_mean: f64,
    /// The share of positions at which both find the same token likeliest.
    pub top_agreement: f64,
    /// Of the text.
    pub perplexity: f64,
    /// Beside the reference's: 0.05 is five hundredths more.
    pub perplexity_rise: f64,
    /// The share of tokens that the model found likeliest, of the reference's.
    pub accuracy_kept: f64,
    /// The share of pairs of sentences whose better one it finds likelier, if it was asked for any.
    pub pairs_accuracy: Option<f64>,
    /// Who made it of the reference.
    pub quantizer: Quantizer,
}

/// Who chose a model's few bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Quantizer {
    /// `hearth quantize`.
    Hearth,
    /// Whoever wrote a GGUF file.
    Gguf,
    /// Nobody: its weights are stored as they were trained, or nearly so.
    None,
}

/// What `hearth quantize` could make of a model, and which of that suits the memory at hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RecipesReport {
    /// Why it can make nothing of it; empty if it can.
    pub absence: String,
    /// The model as it is, and each recipe; what takes most comes first. Empty if there is an `absence`.
    pub recipes: Vec<RecipeReport>,
    /// The memory that the choice was made for; none if nobody knows.
    #[cfg_attr(feature = "typescript", ts(type = "number | null"))]
    pub memory_bytes: Option<u64>,
    /// The context that the choice was made for.
    pub context_tokens: u32,
    /// The name of the recipe that loses least of those that fit; none if none fits, or if nobody knows.
    pub recommended: Option<String>,
    /// Why, in words for a person.
    pub advice: String,
    /// What was measured of this very model; none if nothing lies beside it.
    pub frontier: Option<Frontier>,
}

/// One thing that a model can be made into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RecipeReport {
    /// "3 bits", or "as it is".
    pub name: String,
    /// What to type for it; empty for the model as it is.
    pub command: String,
    /// Bits that a weight of a linear layer takes.
    pub linear_bits_per_weight: f64,
    /// Bits that a weight takes, over the whole model.
    pub bits_per_weight: f64,
    /// Bytes of all weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub weights_bytes: u64,
    /// Bytes that it needs in all with the context that was planned for.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub needed_bytes: u64,
    /// Whether that is there.
    pub fit: Fit,
    /// What it loses; none if that is not known.
    pub loss: Option<LossReport>,
}

/// What a recipe loses, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct LossReport {
    /// Of which model. Others lose more or less: larger models lose less.
    pub model: String,
    /// Whether that is the model that is asked about.
    pub is_own: bool,
    /// As of a [`FrontierPoint`].
    pub kl_mean: f64,
    /// As of a [`FrontierPoint`].
    pub perplexity_rise: f64,
    /// As of a [`FrontierPoint`].
    pub accuracy_kept: f64,
}
