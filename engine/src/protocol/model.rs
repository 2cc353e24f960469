//! What a model is, before anything of it is loaded, and which models there are.

use serde::{Deserialize, Serialize};

use super::{Failure, ModelTask};
use crate::tensor::KvFormat;

/// Which model to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct InspectRequest {
    /// A name from the list, or a path where the host allows paths. Empty: the bundled model.
    pub model: String,
    /// Tokens of context to plan for. None: what a load without a wish would make room for.
    pub context_tokens: Option<u32>,
    /// Whether every tensor shall be listed.
    pub tensors: bool,
    /// How keys and values would be cached.
    #[cfg_attr(feature = "typescript", ts(as = "Option<KvFormat>"))]
    pub kv_cache: KvFormat,
}

/// What a model's headers say. Nothing of this needs the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ModelReport {
    /// The name under which it was found.
    pub model: String,
    /// In which kind of file it lies.
    pub layout: Layout,
    /// The files with its weights.
    pub files: Vec<FileReport>,
    /// Who made it of what, as far as it says.
    pub about: AboutReport,
    /// Its architecture, as its file names it.
    pub architecture: String,
    /// Why it cannot run here; none if it can.
    pub unsupported: Option<Failure>,
    /// What can be asked of it; empty if it cannot run.
    pub tasks: Vec<ModelTask>,
    /// Number of weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub parameters: u64,
    /// Bytes of weights as stored.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub weights_bytes: u64,
    /// Bits that a weight takes, over the whole model.
    pub bits_per_weight: f64,
    /// Bits that a weight of a linear layer takes: over all matrices but tables of embeddings and the head. 0 if there are
    /// none.
    pub linear_bits_per_weight: f64,
    /// How the weights are stored, the format with the most bytes first.
    pub formats: Vec<FormatReport>,
    /// Its sizes, as far as its configuration says.
    pub shape: ShapeReport,
    /// How it cuts text.
    pub tokenizer: TokenizerReport,
    /// What its chat template knows; none if it has none.
    pub template: Option<TemplateReport>,
    /// The context that was asked for, or that a load without a wish would make room for; none if it cannot run.
    pub context_tokens: Option<u32>,
    /// What it needs at several lengths of context, the shortest first, `context_tokens` among them; empty if it
    /// cannot run.
    pub outlooks: Vec<Outlook>,
    /// The most context that fits the CPU's free memory; none if not even a little does, or nobody knows.
    pub context_tokens_max: Option<u32>,
    /// Every tensor, if they were asked for.
    pub tensors: Vec<TensorReport>,
}

/// A kind of model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Layout {
    /// A folder in Hugging Face layout.
    Safetensors,
    /// One file, or several parts of one.
    Gguf,
}

/// A file with weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its length.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub bytes: u64,
}

/// What a model says about where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct AboutReport {
    /// Its own name for itself.
    pub name: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Under which licence.
    pub license: Option<String>,
    /// The model that it was made from.
    pub base_model: Option<String>,
    /// What it is, in words.
    pub description: Option<String>,
}

/// One way in which weights are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct FormatReport {
    /// Its name.
    pub format: String,
    /// Whether this engine reads it.
    pub is_supported: bool,
    /// Tensors stored so.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub tensors: u64,
    /// Their weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub parameters: u64,
    /// Their bytes.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub bytes: u64,
}

/// A model's sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ShapeReport {
    /// Tokens of context that it was made for.
    pub context_tokens: Option<u32>,
    /// Tokens that it knows.
    pub vocab_size: Option<u32>,
    /// Length of a token's vector.
    pub hidden: Option<u32>,
    /// Number of blocks.
    pub layers: Option<u32>,
    /// Query heads.
    pub heads: Option<u32>,
    /// Key and value heads.
    pub kv_heads: Option<u32>,
    /// Length of a head's vector.
    pub head_dim: Option<u32>,
    /// Width of the feed-forward layer.
    pub feed_forward: Option<u32>,
}

/// A model's tokenizer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TokenizerReport {
    /// "byte-level BPE", "SentencePiece BPE", "Unigram", "WordPiece", ...
    pub kind: String,
    /// How many tokens it knows; none if it cannot be built.
    pub tokens: Option<u32>,
}

/// A model's chat template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TemplateReport {
    /// Whether it takes standing instructions.
    pub has_system: bool,
    /// Whether it speaks of tools.
    pub has_tools: bool,
    /// Whether it speaks of thinking.
    pub has_thinking: bool,
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// Rows first.
    #[cfg_attr(feature = "typescript", ts(type = "Array<number>"))]
    pub shape: Vec<u64>,
    /// How it is stored.
    pub format: String,
    /// How long it is.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub bytes: u64,
}

/// What a model needs at one length of context, and whether that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Outlook {
    /// What it needs.
    pub memory: MemoryPlan,
    /// Whether a CPU's memory suffices.
    pub cpu: FitReport,
    /// Whether the GPU can hold it.
    pub gpu: FitReport,
}

/// The memory that a model will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct MemoryPlan {
    /// With so many tokens of context.
    pub context_tokens: u32,
    /// Matrices of weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub weights_bytes: u64,
    /// Keys and values of the tokens in the context.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub cache_bytes: u64,
    /// What lives only within a step.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub scratch_bytes: u64,
    /// Norms, tables, logits, and the logits once more where they are read.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub other_bytes: u64,
    /// All together.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub total_bytes: u64,
    /// What each token of the context adds to the cache, on average.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub cache_bytes_per_token: u64,
    /// The largest piece that must lie in one buffer; matrices of weights are split where they must be.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub largest_buffer_bytes: u64,
}

/// Whether a device can hold a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct FitReport {
    /// In a word.
    pub fit: Fit,
    /// The device; empty if there is none.
    pub device: String,
    /// What is needed.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub needed_bytes: u64,
    /// What is free; 0 if the platform does not tell.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub available_bytes: u64,
    /// How much of that the weights of the model in use still take: they are freed before another is loaded.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub freed_bytes: u64,
    /// In words for a person.
    pub reason: String,
}

/// Whether something fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Fit {
    /// It does.
    Fits,
    /// It does not.
    TooLarge,
    /// Only trying tells.
    Unknown,
    /// There is no such device.
    NoDevice,
}

/// The models that can be asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ModelList {
    /// The one that is taken when none is named.
    pub bundled: Option<String>,
    /// All of them.
    pub models: Vec<ListedModel>,
    /// Whether `add_model` and `remove_model` are allowed.
    pub can_add: bool,
}

/// A model on the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ListedModel {
    /// Its name.
    pub name: String,
    /// What it is, in words for a person; may be empty.
    pub description: String,
    /// Whether a person added it; only such a model can be removed.
    pub is_added: bool,
    /// Where it lies, where the client may know that.
    pub place: Option<String>,
    /// Whether its files are no longer where they were.
    pub is_missing: bool,
}
