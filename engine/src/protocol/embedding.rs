//! Texts to vectors.

use serde::{Deserialize, Serialize};

use super::Route;

/// What a model is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum ModelTask {
    /// It continues texts: `generate`.
    Generate,
    /// It turns texts into vectors: `embed`.
    Embed,
}

/// Texts to turn into vectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct EmbedRequest {
    /// Each gets a vector of its own.
    pub texts: Vec<String>,
    /// How the vectors of a text's tokens become one. None: as the model was trained.
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to length 1. None: yes.
    pub normalize: Option<bool>,
    /// Whether a text that is too long is cut at the model's most tokens. None: yes; otherwise it is refused.
    pub truncate: Option<bool>,
    /// What the texts are, for models that put other words before a question than before a passage. None: nothing is
    /// put before them, unless the model says otherwise.
    pub kind: Option<TextKind>,
    /// Words to put before each text in place of the model's own: an instruction, for models that follow one.
    pub prompt: Option<String>,
}

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Pooling {
    /// The mean of all tokens (Reimers and Gurevych 2019).
    Mean,
    /// The first token, which stands for the whole text (Devlin et al. 2019).
    Cls,
    /// The last token.
    Last,
}

/// What a text is in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum TextKind {
    /// What is asked.
    Query,
    /// What is searched.
    Document,
}

/// One text's vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Embedding {
    /// The text's place in the request, from 0 on.
    pub index: u32,
    /// Tokens that the model saw of it, those at its beginning and end included.
    pub tokens: u32,
    /// Whether the text had more tokens than that.
    pub truncated: bool,
    /// The vector.
    pub vector: Vec<f32>,
}

/// All texts have their vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Embedded {
    /// Where it ran.
    pub route: Route,
    /// On what.
    pub adapter: String,
    /// How many texts there were.
    pub texts: u32,
    /// How many of them were cut.
    pub truncated: u32,
    /// Length of each vector.
    pub dimensions: u32,
    /// Tokens of all texts.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub tokens: u64,
    /// How the tokens' vectors became one.
    pub pooling: Pooling,
    /// From the request to the last vector.
    pub elapsed_ms: f64,
}
