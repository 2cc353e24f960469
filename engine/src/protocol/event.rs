//! What an engine answers.

use serde::{Deserialize, Serialize};

use super::{
    AddedDocument, BenchReport, Benching, Document, DocumentList, DocumentProgress, Embedded, Embedding, FoundPassages,
    MemoryUse, ModelList, ModelReport, ModelTask, ProbeReport, Route, Streamed,
};

/// An event with the number of the request that it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct EventEnvelope {
    /// The request's number.
    pub id: u32,
    /// What happened.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Event {
    /// What this device can do.
    Probed(ProbeReport),
    /// What a model is.
    Inspected(Box<ModelReport>),
    /// Which models there are.
    Models(ModelList),
    /// A model has been added to the list.
    ModelAdded {
        /// The name under which it is listed.
        model: String,
    },
    /// A model is no longer on the list.
    ModelRemoved {
        /// Its name.
        model: String,
    },
    /// A model is on its way.
    Loading(Loading),
    /// A model is ready.
    Loaded(Loaded),
    /// The prompt, or a part of it, has been read.
    Prefilled {
        /// Tokens read so far.
        done_tokens: u32,
        /// Tokens of the whole prompt.
        prompt_tokens: u32,
    },
    /// One more token. `text` may be empty while a character is not whole yet.
    Token {
        /// The token's number in the vocabulary.
        id: u32,
        /// The text that became whole with it.
        text: String,
        /// What the model thought with it, where its chat template marks thoughts; never part of `text`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", ts(optional))]
        reasoning: Option<String>,
    },
    /// The model called a function. Its words are not part of any `token`'s text.
    ToolCall {
        /// Which call of this answer it is, from 0.
        index: u32,
        /// By which the result names its call.
        id: String,
        /// The function's name.
        name: String,
        /// Its arguments, usually an object.
        #[cfg_attr(feature = "typescript", ts(type = "unknown"))]
        arguments: serde_json::Value,
    },
    /// The answer is complete.
    Done(Done),
    /// One text's vector.
    Embedding(Embedding),
    /// Every text has its vector.
    Embedded(Embedded),
    /// A measurement is under way.
    Benching(Benching),
    /// What was measured.
    Benched(Box<BenchReport>),
    /// Which documents there are.
    Documents(DocumentList),
    /// A document is on its way, or a search.
    DocumentProgress(DocumentProgress),
    /// A document can be searched.
    DocumentAdded(AddedDocument),
    /// A document is gone.
    DocumentRemoved {
        /// As it was.
        document: Document,
    },
    /// What a search found.
    Passages(FoundPassages),
    /// The model is gone.
    Unloaded,
    /// The request to stop has been noted.
    Cancelling,
    /// The request failed; nothing more follows for it.
    Failed(Failure),
}

impl Event {
    /// Whether nothing more follows for the same request.
    pub fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::Loading(_)
                | Self::Prefilled { .. }
                | Self::Token { .. }
                | Self::ToolCall { .. }
                | Self::Embedding(_)
                | Self::Benching(_)
                | Self::DocumentProgress(_)
        )
    }
}

/// How far the loading of a model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Loading {
    /// What is being done.
    pub stage: LoadStage,
    /// Bytes of weights on the device so far.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub done_bytes: u64,
    /// Bytes of weights in all.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub total_bytes: u64,
    /// Since the loading began.
    pub elapsed_ms: f64,
}

/// A step of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum LoadStage {
    /// Headers, configuration and tokenizer.
    Opening,
    /// Weights on their way to the device.
    Weights,
    /// Shaders and buffers.
    Compiling,
}

/// A model that is ready, and where it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Loaded {
    /// The model's name.
    pub model: String,
    /// Its architecture, as its file names it.
    pub architecture: String,
    /// What can be asked of it.
    pub tasks: Vec<ModelTask>,
    /// Number of weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub parameters: u64,
    /// Bytes of weights as stored.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub weights_bytes: u64,
    /// Tokens of context there is room for.
    pub context_tokens: u32,
    /// Whether the model brought a chat template.
    pub has_chat_template: bool,
    /// What a person who chats with it should know first; none if there is nothing.
    pub notice: Option<String>,
    /// Where it runs.
    pub route: Route,
    /// On what: the GPU's name, or the CPU's SIMD level.
    pub adapter: String,
    /// Why this route, in words for a person.
    pub reason: String,
    /// From the request to ready.
    pub load_ms: f64,
    /// Where its memory is; None of a model that makes vectors.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub memory: Option<MemoryUse>,
}

/// An answer's end, and how it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Done {
    /// Where it ran.
    pub route: Route,
    /// On what.
    pub adapter: String,
    /// Tokens in the prompt, those found in the cache included.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were still in the cache from the turn before.
    pub cached_tokens: u32,
    /// New tokens.
    pub tokens: u32,
    /// From the request to the first token.
    pub first_token_ms: f64,
    /// New tokens after the first, over the time they took; 0 if there was at most one.
    pub decode_tokens_per_s: f64,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// What was read of weights that are not all in memory; None if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub streamed: Option<Streamed>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum StopReason {
    /// The model ended its turn, or the constraint leaves nothing to add.
    EndOfTurn,
    /// The model ended its turn with calls of functions.
    ToolCalls,
    /// One of the stop texts came.
    StopText,
    /// `max_tokens` are out.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// On request.
    Cancelled,
}

/// Why a request failed, in words for a person and a code for a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Failure {
    /// The kind of failure.
    pub code: FailureCode,
    /// What happened, with its figures.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[allow(missing_docs, reason = "each is explained by the error of the same name")]
pub enum FailureCode {
    Truncated,
    Malformed,
    MissingFile,
    UnknownModel,
    UnknownArchitecture,
    BadConfig,
    UnsupportedFormat,
    MissingTensor,
    WrongShape,
    /// A tensor that the architecture has no place for.
    UnexpectedTensor,
    Tokenizer,
    Template,
    WrongTask,
    InvalidRequest,
    Constraint,
    PromptTooLong,
    NotLoaded,
    Busy,
    Cancelled,
    OutOfMemory,
    NotAllowed,
    NoLibrary,
    NoDevice,
    DeviceLost,
    DeviceFault,
    Io,
    /// The transport itself failed: a closed socket, a worker that died.
    Link,
}
