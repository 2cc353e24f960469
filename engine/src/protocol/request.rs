//! What a client asks for.

use serde::{Deserialize, Serialize};

use super::{
    AddDocument, BenchRequest, ChatMessage, Constraint, EmbedRequest, InspectRequest, SearchDocuments, ToolChoice,
    ToolDefinition,
};
use crate::tensor::KvFormat;

/// A request with the number that its events will carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RequestEnvelope {
    /// Chosen by the client, unique among its open requests.
    pub id: u32,
    /// What is asked.
    pub request: Request,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Request {
    /// What can this device do? Answered by `probed`.
    Probe,
    /// Which models are there? Answered by `models`.
    Models,
    /// What is a model, and does it fit here? Reads headers, never weights. Answered by `inspected`.
    Inspect(InspectRequest),
    /// Put a model on this machine on the list; only where the host allows it. Answered by `model_added`.
    AddModel {
        /// The model's folder, its `.gguf` file or any part of one.
        path: String,
    },
    /// Take a model that was added off the list; its files stay. Answered by `model_removed`.
    RemoveModel {
        /// Its name.
        model: String,
    },
    /// Make a model ready. Answered by `loading` many times, then `loaded`. Replaces the model before it.
    Load(LoadRequest),
    /// Continue a conversation or a text. Answered by `prefilled`, then `token` many times, then `done`.
    Generate(GenerateRequest),
    /// Turn texts into vectors. Answered by `embedding` for each text, in order, then `embedded`.
    Embed(EmbedRequest),
    /// Measure how fast a model is here; the model that is ready is freed first. Answered by `loading` and `benching`
    /// many times, then `benched`.
    Bench(BenchRequest),
    /// Which documents are there? Answered by `documents`.
    Documents,
    /// Take a document in. Answered by `document_progress` many times, then `document_added`.
    AddDocument(AddDocument),
    /// Take a document away. Answered by `document_removed`.
    RemoveDocument {
        /// Its number.
        #[cfg_attr(feature = "typescript", ts(type = "number"))]
        document: i64,
    },
    /// Give all documents vectors of one model, from the texts that are kept. Answered by `document_progress` many times,
    /// then `documents`. What was done before a stop stays done.
    RefreshDocuments {
        /// The embedding model, by its name. None: the one that `documents` names.
        #[serde(default)]
        model: Option<String>,
    },
    /// Find the passages nearest to a question. Answered by `document_progress` sometimes, then `passages`.
    SearchDocuments(SearchDocuments),
    /// Stop the request of that number at the next token, text or passage. Answered by `cancelling` at once.
    Cancel {
        /// The number of the request to stop.
        target: u32,
    },
    /// Free the model and its memory. Answered by `unloaded`.
    Unload,
}

/// Which model to load, and where it shall run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct LoadRequest {
    /// A name from the registry, or a path where the host allows paths. Empty: the bundled model.
    pub model: String,
    /// CPU, GPU, or whichever is there.
    pub device: DeviceChoice,
    /// Tokens of context to make room for. None: the model's own, or what fits.
    pub context_tokens: Option<u32>,
    /// How keys and values are cached. Models that make vectors have no cache.
    #[cfg_attr(feature = "typescript", ts(as = "Option<KvFormat>"))]
    pub kv_cache: KvFormat,
    /// The most memory that weights, context and scratch may take together. Weights that do not fit are read anew for each
    /// token. None: all of them stay.
    #[cfg_attr(feature = "typescript", ts(as = "Option<u32>"))]
    pub memory_budget_bytes: Option<u64>,
}

/// Which kind of device shall run the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum DeviceChoice {
    /// A real GPU if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The GPU, and a failure if there is none.
    Gpu,
    /// The CPU.
    Cpu,
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Route {
    /// The web view's own WebGPU.
    WebviewGpu,
    /// WebAssembly with SIMD in the web view.
    WebviewCpu,
    /// wgpu in Rust.
    NativeGpu,
    /// SIMD in Rust.
    NativeCpu,
}

/// A text to continue and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct GenerateRequest {
    /// What to continue.
    pub prompt: Prompt,
    /// At most so many new tokens. None: as many as the context holds.
    pub max_tokens: Option<u32>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Texts at which the answer ends; they are not part of it.
    pub stop: Vec<String>,
    /// The form that the answer must have. None: any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// Functions that the model may call, given to its chat template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<ToolDefinition>>"))]
    pub tools: Vec<ToolDefinition>,
    /// Whether it may, must or must not call them.
    #[cfg_attr(feature = "typescript", ts(as = "Option<ToolChoice>"))]
    pub tool_choice: ToolChoice,
}

/// What a generation continues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Prompt {
    /// A conversation, rendered with the model's chat template.
    Chat {
        /// The turns so far; the last is usually the user's.
        messages: Vec<ChatMessage>,
    },
    /// A text, taken as it is.
    Text {
        /// The text.
        text: String,
    },
}

impl Default for Prompt {
    fn default() -> Self {
        Self::Text { text: String::new() }
    }
}

/// How the next token is chosen from the logits. The steps apply in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct Sampling {
    /// Divides positive and multiplies negative logits of tokens already seen (Keskar et al. 2019, section 4.1);
    /// 1 changes nothing.
    pub repetition_penalty: f32,
    /// 0 is greedy: always the most likely token.
    pub temperature: f32,
    /// Keep only so many most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of most likely tokens whose probabilities reach this sum (Holtzman et al. 2020); 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the likeliest (Nguyen et al. 2024); 0 keeps all.
    pub min_p: f32,
    /// The same seed, model, prompt and route give the same answer. None: a new one each time.
    pub seed: Option<u32>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { repetition_penalty: 1.0, temperature: 0.7, top_k: 40, top_p: 0.95, min_p: 0.05, seed: None }
    }
}

impl Sampling {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}
