//! How fast a model is here: the question and its answer.

use serde::{Deserialize, Serialize};

use super::{AdapterReport, CpuReport, DeviceChoice, MemoryPlan, Route};
use crate::tensor::{Format, KvFormat};

/// What to measure, and how often. Where a field is None or empty, the engine takes what its documentation names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct BenchRequest {
    /// A model, or a shape with random weights.
    pub subject: BenchSubject,
    /// CPU, GPU, or whichever is there.
    pub device: DeviceChoice,
    /// Lengths of prompts to read. None: 128, 512 and 2048; an empty list: none.
    pub prefill_tokens: Option<Vec<u32>>,
    /// Tokens in the cache before the decoding that is measured. None: 0, 2048 and 8192; an empty list: none.
    pub depth_tokens: Option<Vec<u32>>,
    /// New tokens of each decoding, at least 2. None: 64.
    pub decode_tokens: Option<u32>,
    /// How often each length is measured, after a run that is not counted. None: 5.
    pub repeats: Option<u32>,
    /// No further repeat of a length begins after so long. None: 60,000.
    pub case_ms_max: Option<f64>,
    /// Whether to take the time of each kernel apart, in runs of their own. None: yes.
    pub profile: Option<bool>,
    /// Whether to start a second time, with what the first start left behind. None: no.
    pub warm_start: Option<bool>,
    /// What the random weights begin with. None: 1.
    pub seed: Option<u32>,
    /// How keys and values are cached.
    #[cfg_attr(feature = "typescript", ts(as = "Option<KvFormat>"))]
    pub kv_cache: KvFormat,
    /// The most memory that weights, context and scratch may take together. None: whatever it takes.
    #[cfg_attr(feature = "typescript", ts(as = "Option<u32>"))]
    pub memory_budget_bytes: Option<u64>,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum BenchSubject {
    /// A model's files.
    Model {
        /// A name from the registry, or a path where the host allows paths. Empty: the bundled model.
        model: String,
    },
    /// The sizes of a known model, with random weights made piece by piece on their way to the device.
    Shape {
        /// Which sizes.
        shape: BenchShape,
        /// How its matrices are stored; vectors are always F32.
        format: Format,
    },
}

impl Default for BenchSubject {
    fn default() -> Self {
        Self::Model { model: String::new() }
    }
}

/// The shapes that need no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum BenchShape {
    /// Two small layers: for tests, and to see that a device works at all.
    #[serde(rename = "tiny")]
    Tiny,
    /// Llama 3.2 1B.
    #[serde(rename = "llama-1b")]
    Llama1b,
    /// Llama 2 7B.
    #[serde(rename = "llama-2-7b")]
    Llama2_7b,
    /// Llama 3.1 8B.
    #[serde(rename = "llama-8b")]
    Llama8b,
    /// Qwen3 0.6B.
    #[serde(rename = "qwen3-0.6b")]
    Qwen3_0_6b,
}

/// How far a measurement is. The loading before it is told by `loading`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Benching {
    /// What is being measured.
    pub stage: BenchStage,
    /// Tokens of the prompt, or in the cache; 0 for other stages.
    pub tokens: u32,
    /// Which repeat it is, from 0 for the run that is not counted.
    pub repeat: u32,
    /// How many repeats are wanted.
    pub repeats: u32,
    /// Stages and lengths done so far.
    pub done: u32,
    /// Stages and lengths in all.
    pub total: u32,
    /// Since the request.
    pub elapsed_ms: f64,
}

/// A stage of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum BenchStage {
    /// How fast the device moves memory.
    Bandwidth,
    /// Reading a prompt.
    Prefill,
    /// Writing behind a number of tokens.
    Decode,
    /// The time of each kernel.
    Profile,
}

/// What was measured, on what. `docs/bench.md` explains each number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct BenchReport {
    /// The model's name, or "llama-8b Q4_0, random weights".
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// Number of weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub parameters: u64,
    /// Bytes of weights as stored.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub weights_bytes: u64,
    /// Tokens of context that were made room for.
    pub context_tokens: u32,
    /// Where it ran.
    pub route: Route,
    /// On what: the GPU's name, or the CPU's SIMD level and threads.
    pub adapter: String,
    /// Why this route, in words for a person.
    pub reason: String,
    /// The machine.
    pub machine: BenchMachine,
    /// From nothing to the first token; the second start, if one was asked for, is the last.
    pub starts: Vec<BenchStart>,
    /// From nothing to the first token, the first time.
    pub cold_first_token_ms: f64,
    /// The same a second time, with the compiled shaders that the first start left behind; none if not asked for.
    pub warm_first_token_ms: Option<f64>,
    /// Prompts, in the order that was asked for.
    pub prefill: Vec<PrefillResult>,
    /// Decodings, in the order that was asked for.
    pub decode: Vec<DecodeResult>,
    /// What was asked for and not measured, and why.
    pub skipped: Vec<SkippedCase>,
    /// The median of the longest prompt of at most 512 tokens, or of the shortest; none if none was measured.
    pub prefill_tokens_per_s: Option<f64>,
    /// The median of the shallowest decoding; none if none was measured.
    pub decode_tokens_per_s: Option<f64>,
    /// How fast memory is copied: bytes read and bytes written, in one second.
    pub copy_bytes_per_s: f64,
    /// How fast memory is read.
    pub read_bytes_per_s: f64,
    /// Of the shallowest decoding: bytes that its tokens had to read, as a part of what the faster of copying and
    /// reading would have moved in the same time. None if no decoding was measured.
    pub roofline_fraction: Option<f64>,
    /// Memory that the engine allocated on the device, at most.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub peak_device_bytes: u64,
    /// Memory that the process had at most since it began; none where the platform does not tell.
    #[cfg_attr(feature = "typescript", ts(type = "number | null"))]
    pub peak_process_bytes: Option<u64>,
    /// What the plan says that the model needs.
    pub memory: MemoryPlan,
    /// Bytes of weights that are read anew for each token, because of the budget; None if all are in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number"))]
    pub streamed_bytes_per_token: Option<u64>,
    /// The time of each kernel; empty if it was not asked for or the device has no clock for it.
    pub profile: Vec<PlanProfile>,
    /// Why `profile` is empty, if it is.
    pub profile_absence: Option<String>,
    /// From the request to this report.
    pub elapsed_ms: f64,
}

/// The machine of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct BenchMachine {
    /// The engine's version.
    pub engine_version: String,
    /// "linux x86_64", "wasm32", ...
    pub platform: String,
    /// The CPU.
    pub cpu: CpuReport,
    /// The GPU, if it did the work.
    pub gpu: Option<AdapterReport>,
}

/// One start, step by step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct BenchStart {
    /// Opening the device.
    pub open_ms: f64,
    /// Allocating memory and compiling shaders.
    pub prepare_ms: f64,
    /// Weights on their way to the device, or being made there.
    pub weights_ms: f64,
    /// The first prompt, of at most 32 tokens, and the first token.
    pub first_inference_ms: f64,
    /// All of it.
    pub first_token_ms: f64,
}

/// The middle of some measurements, and how far they lie apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Spread {
    /// Half of them are below it.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Median of the distances from the median: half of the measurements lie within it.
    pub deviation: f64,
    /// Each measurement, in order.
    pub samples: Vec<f64>,
}

/// How fast a prompt is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PrefillResult {
    /// Its length.
    pub prompt_tokens: u32,
    /// Tokens of the prompt over the time to the first new token.
    pub tokens_per_s: Spread,
}

/// How fast text is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct DecodeResult {
    /// Tokens in the cache before it.
    pub depth_tokens: u32,
    /// New tokens.
    pub decode_tokens: u32,
    /// New tokens after the first, over the time they took.
    pub tokens_per_s: Spread,
    /// Bytes that one of these tokens has to read, on average: weights, keys and values.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub bytes_per_token: u64,
    /// Those bytes at this speed, as a part of the measured bandwidth.
    pub roofline_fraction: f64,
}

/// Something that was asked for and not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct SkippedCase {
    /// Prefill or decode.
    pub stage: BenchStage,
    /// Tokens of the prompt, or in the cache.
    pub tokens: u32,
    /// Why.
    pub reason: String,
}

/// Where the time of one plan goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PlanProfile {
    /// Prefill or decode.
    pub stage: BenchStage,
    /// Tokens in the cache before it.
    pub depth_tokens: u32,
    /// Tokens of the step.
    pub tokens: u32,
    /// All kernels together.
    pub total_ms: f64,
    /// Each kernel, the one that takes the longest first.
    pub kernels: Vec<KernelTime>,
}

/// The time of one kernel in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct KernelTime {
    /// Its name.
    pub kernel: String,
    /// How often it runs in a step.
    pub count: u32,
    /// Of all its runs, the median of some steps.
    pub ms: f64,
    /// Of all kernels' time.
    pub fraction: f64,
}
