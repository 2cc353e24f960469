// Generated from engine/src/protocol by engine/tests/typescript.rs; HEARTH_BLESS=1 renews it.

/** The protocol's version; a client and an engine that differ in it refuse each other. */
export const PROTOCOL_VERSION = 2;

/**
 * What a model says about where it comes from.
 */
export type AboutReport = {
/**
 * Its own name for itself.
 */
name: string | null,
/**
 * Who made it.
 */
author: string | null,
/**
 * Under which licence.
 */
license: string | null,
/**
 * The model that it was made from.
 */
base_model: string | null,
/**
 * What it is, in words.
 */
description: string | null, };

/**
 * One GPU.
 */
export type AdapterReport = {
/**
 * Its name.
 */
name: string,
/**
 * "Vulkan", "Metal", "Dx12", "BrowserWebGpu".
 */
backend: string,
/**
 * "DiscreteGpu", "IntegratedGpu", "VirtualGpu", "Cpu" or "Other".
 */
kind: string,
/**
 * The driver, as it describes itself.
 */
driver: string,
/**
 * Whether it is a program on the CPU that plays a GPU: right, but slow.
 */
is_software: boolean,
/**
 * Which optional features it has, among those the engine can use.
 */
features: Array<string>,
/**
 * The limits that matter to the engine.
 */
limits: LimitsReport, };

/**
 * A document to take in.
 */
export type AddDocument = {
/**
 * What is taken in.
 */
content: DocumentContent,
/**
 * The embedding model, by its name. None: the one that `documents` names.
 */
model?: string | null, };

/**
 * What became of an addition.
 */
export type AddedDocument = {
/**
 * False if the same bytes were there already, with vectors of the same model.
 */
is_new: boolean,
/**
 * The document as it is now.
 */
document: Document, };

/**
 * The machine of a measurement.
 */
export type BenchMachine = {
/**
 * The engine's version.
 */
engine_version: string,
/**
 * "linux x86_64", "wasm32", ...
 */
platform: string,
/**
 * The CPU.
 */
cpu: CpuReport,
/**
 * The GPU, if it did the work.
 */
gpu: AdapterReport | null, };

/**
 * What was measured, on what. `docs/bench.md` explains each number.
 */
export type BenchReport = {
/**
 * The model's name, or "llama-8b Q4_0, random weights".
 */
name: string,
/**
 * Its architecture.
 */
architecture: string,
/**
 * Number of weights.
 */
parameters: number,
/**
 * Bytes of weights as stored.
 */
weights_bytes: number,
/**
 * Tokens of context that were made room for.
 */
context_tokens: number,
/**
 * Where it ran.
 */
route: Route,
/**
 * On what: the GPU's name, or the CPU's SIMD level and threads.
 */
adapter: string,
/**
 * Why this route, in words for a person.
 */
reason: string,
/**
 * The machine.
 */
machine: BenchMachine,
/**
 * From nothing to the first token; the second start, if one was asked for, is the last.
 */
starts: Array<BenchStart>,
/**
 * From nothing to the first token, the first time.
 */
cold_first_token_ms: number,
/**
 * The same a second time, with the compiled shaders that the first start left behind; none if not asked for.
 */
warm_first_token_ms: number | null,
/**
 * Prompts, in the order that was asked for.
 */
prefill: Array<PrefillResult>,
/**
 * Decodings, in the order that was asked for.
 */
decode: Array<DecodeResult>,
/**
 * What was asked for and not measured, and why.
 */
skipped: Array<SkippedCase>,
/**
 * The median of the longest prompt of at most 512 tokens, or of the shortest; none if none was measured.
 */
prefill_tokens_per_s: number | null,
/**
 * The median of the shallowest decoding; none if none was measured.
 */
decode_tokens_per_s: number | null,
/**
 * How fast memory is copied: bytes read and bytes written, in one second.
 */
copy_bytes_per_s: number,
/**
 * How fast memory is read.
 */
read_bytes_per_s: number,
/**
 * Of the shallowest decoding: bytes that its tokens had to read, as a part of what the faster of copying and
 * reading would have moved in the same time. None if no decoding was measured.
 */
roofline_fraction: number | null,
/**
 * Memory that the engine allocated on the device, at most.
 */
peak_device_bytes: number,
/**
 * Memory that the process had at most since it began; none where the platform does not tell.
 */
peak_process_bytes: number | null,
/**
 * What the plan says that the model needs.
 */
memory: MemoryPlan,
/**
 * Bytes of weights that are read anew for each token, because of the budget; None if all are in memory.
 */
streamed_bytes_per_token?: number,
/**
 * The time of each kernel; empty if it was not asked for or the device has no clock for it.
 */
profile: Array<PlanProfile>,
/**
 * Why `profile` is empty, if it is.
 */
profile_absence: string | null,
/**
 * From the request to this report.
 */
elapsed_ms: number, };

/**
 * What to measure, and how often. Where a field is None or empty, the engine takes what its documentation names.
 */
export type BenchRequest = {
/**
 * A model, or a shape with random weights.
 */
subject: BenchSubject,
/**
 * CPU, GPU, or whichever is there.
 */
device: DeviceChoice,
/**
 * Lengths of prompts to read. None: 128, 512 and 2048; an empty list: none.
 */
prefill_tokens?: Array<number> | null,
/**
 * Tokens in the cache before the decoding that is measured. None: 0, 2048 and 8192; an empty list: none.
 */
depth_tokens?: Array<number> | null,
/**
 * New tokens of each decoding, at least 2. None: 64.
 */
decode_tokens?: number | null,
/**
 * How often each length is measured, after a run that is not counted. None: 5.
 */
repeats?: number | null,
/**
 * No further repeat of a length begins after so long. None: 60,000.
 */
case_ms_max?: number | null,
/**
 * Whether to take the time of each kernel apart, in runs of their own. None: yes.
 */
profile?: boolean | null,
/**
 * Whether to start a second time, with what the first start left behind. None: no.
 */
warm_start?: boolean | null,
/**
 * What the random weights begin with. None: 1.
 */
seed?: number | null,
/**
 * How keys and values are cached.
 */
kv_cache?: KvFormat | null,
/**
 * The most memory that weights, context and scratch may take together. None: whatever it takes.
 */
memory_budget_bytes?: number | null, };

/**
 * The shapes that need no files.
 */
export type BenchShape = "tiny" | "llama-1b" | "llama-2-7b" | "llama-8b" | "qwen3-0.6b";

/**
 * A stage of a measurement.
 */
export type BenchStage = "bandwidth" | "prefill" | "decode" | "profile";

/**
 * One start, step by step.
 */
export type BenchStart = {
/**
 * Opening the device.
 */
open_ms: number,
/**
 * Allocating memory and compiling shaders.
 */
prepare_ms: number,
/**
 * Weights on their way to the device, or being made there.
 */
weights_ms: number,
/**
 * The first prompt, of at most 32 tokens, and the first token.
 */
first_inference_ms: number,
/**
 * All of it.
 */
first_token_ms: number, };

/**
 * What is measured.
 */
export type BenchSubject = { "kind": "model",
/**
 * A name from the registry, or a path where the host allows paths. Empty: the bundled model.
 */
model: string, } | { "kind": "shape",
/**
 * Which sizes.
 */
shape: BenchShape,
/**
 * How its matrices are stored; vectors are always F32.
 */
format: Format, };

/**
 * How far a measurement is. The loading before it is told by `loading`.
 */
export type Benching = {
/**
 * What is being measured.
 */
stage: BenchStage,
/**
 * Tokens of the prompt, or in the cache; 0 for other stages.
 */
tokens: number,
/**
 * Which repeat it is, from 0 for the run that is not counted.
 */
repeat: number,
/**
 * How many repeats are wanted.
 */
repeats: number,
/**
 * Stages and lengths done so far.
 */
done: number,
/**
 * Stages and lengths in all.
 */
total: number,
/**
 * Since the request.
 */
elapsed_ms: number, };

/**
 * One turn of a conversation.
 */
export type ChatMessage = {
/**
 * Who speaks.
 */
role: Role,
/**
 * What they say; may be empty beside `tool_calls`.
 */
content: string,
/**
 * What the model thought before it answered, where its template keeps that apart.
 */
reasoning?: string | null,
/**
 * The functions that the model called in this turn.
 */
tool_calls?: Array<ToolCall> | null,
/**
 * Of a turn of a tool: which call it answers.
 */
tool_call_id?: string | null, };

/**
 * A part of a model.
 */
export type ComponentUse = {
/**
 * "embedding", "layer 0", "head", ...
 */
name: string,
/**
 * All of its weights.
 */
bytes: number,
/**
 * Those that stay.
 */
resident_bytes: number, };

/**
 * The form that an answer must have: tokens that would break it are never chosen.
 */
export type Constraint = { "kind": "json_schema",
/**
 * The schema: an object or a boolean.
 */
schema: unknown, } | { "kind": "json_object" } | { "kind": "regex",
/**
 * In the syntax of Rust's `regex` crate, without anchors and look-around.
 */
pattern: string, } | { "kind": "lark",
/**
 * In llguidance's dialect of Lark.
 */
grammar: string, };

/**
 * The CPU.
 */
export type CpuReport = {
/**
 * Its name, where the platform tells.
 */
name: string,
/**
 * The SIMD level that the engine uses: "avx2", "neon", "simd128" or "scalar".
 */
simd: string,
/**
 * Cores that can be used.
 */
cores: number,
/**
 * Threads that the engine uses.
 */
threads: number, };

/**
 * How fast text is written.
 */
export type DecodeResult = {
/**
 * Tokens in the cache before it.
 */
depth_tokens: number,
/**
 * New tokens.
 */
decode_tokens: number,
/**
 * New tokens after the first, over the time they took.
 */
tokens_per_s: Spread,
/**
 * Bytes that one of these tokens has to read, on average: weights, keys and values.
 */
bytes_per_token: number,
/**
 * Those bytes at this speed, as a part of the measured bandwidth.
 */
roofline_fraction: number, };

/**
 * Which kind of device shall run the model.
 */
export type DeviceChoice = "auto" | "gpu" | "cpu";

/**
 * A document that can be searched.
 */
export type Document = {
/**
 * Its number, which is never given again.
 */
id: number,
/**
 * Its name.
 */
name: string,
/**
 * What it is written in.
 */
kind: DocumentKind,
/**
 * Characters of its text.
 */
characters: number,
/**
 * How many passages it was cut into.
 */
chunks: number,
/**
 * When it was added, in UTC (RFC 3339).
 */
added_at: string,
/**
 * The model that made its vectors.
 */
model: string,
/**
 * Length of each vector.
 */
dimensions: number, };

/**
 * A document's bytes, or where they are.
 */
export type DocumentContent = { "kind": "path",
/**
 * Where it is.
 */
path: string, } | { "kind": "text",
/**
 * Its name, whose ending says what it is written in.
 */
name: string,
/**
 * The text.
 */
text: string, } | { "kind": "bytes",
/**
 * The file's name.
 */
name: string,
/**
 * The bytes in Base64 (RFC 4648, section 4).
 */
base64: string, };

/**
 * What a document is written in.
 */
export type DocumentKind = "text" | "markdown" | "pdf";

/**
 * The documents there are, and what can be done with them.
 */
export type DocumentList = {
/**
 * In the order in which they were added.
 */
documents: Array<Document>,
/**
 * The embedding models among those that can be asked for by name.
 */
models: Array<string>,
/**
 * The one that is taken when none is named: that of the newest document, or else the first. None: there is none.
 */
model: string | null,
/**
 * Whether documents may be added by their path.
 */
allows_paths: boolean,
/**
 * The most bytes that a request may carry; a path may lead to more.
 */
content_bytes_max: number, };

/**
 * How far an addition or a search is.
 */
export type DocumentProgress = {
/**
 * What is being done.
 */
stage: DocumentStage,
/**
 * Passages that have a vector.
 */
done_chunks: number,
/**
 * All of the document's; 0 while that is not known.
 */
total_chunks: number, };

/**
 * A step of an addition or a search.
 */
export type DocumentStage = "reading" | "loading_model" | "embedding";

/**
 * An answer's end, and how it went.
 */
export type Done = {
/**
 * Where it ran.
 */
route: Route,
/**
 * On what.
 */
adapter: string,
/**
 * Tokens in the prompt, those found in the cache included.
 */
prompt_tokens: number,
/**
 * Tokens of the prompt that were still in the cache from the turn before.
 */
cached_tokens: number,
/**
 * New tokens.
 */
tokens: number,
/**
 * From the request to the first token.
 */
first_token_ms: number,
/**
 * New tokens after the first, over the time they took; 0 if there was at most one.
 */
decode_tokens_per_s: number,
/**
 * Why it ended.
 */
stop_reason: StopReason,
/**
 * What was read of weights that are not all in memory; None if they are.
 */
streamed?: Streamed, };

/**
 * Texts to turn into vectors.
 */
export type EmbedRequest = {
/**
 * Each gets a vector of its own.
 */
texts: Array<string>,
/**
 * How the vectors of a text's tokens become one. None: as the model was trained.
 */
pooling?: Pooling | null,
/**
 * Whether vectors are scaled to length 1. None: yes.
 */
normalize?: boolean | null,
/**
 * Whether a text that is too long is cut at the model's most tokens. None: yes; otherwise it is refused.
 */
truncate?: boolean | null,
/**
 * What the texts are, for models that put other words before a question than before a passage. None: nothing is
 * put before them, unless the model says otherwise.
 */
kind?: TextKind | null,
/**
 * Words to put before each text in place of the model's own: an instruction, for models that follow one.
 */
prompt?: string | null, };

/**
 * All texts have their vectors.
 */
export type Embedded = {
/**
 * Where it ran.
 */
route: Route,
/**
 * On what.
 */
adapter: string,
/**
 * How many texts there were.
 */
texts: number,
/**
 * How many of them were cut.
 */
truncated: number,
/**
 * Length of each vector.
 */
dimensions: number,
/**
 * Tokens of all texts.
 */
tokens: number,
/**
 * How the tokens' vectors became one.
 */
pooling: Pooling,
/**
 * From the request to the last vector.
 */
elapsed_ms: number, };

/**
 * One text's vector.
 */
export type Embedding = {
/**
 * The text's place in the request, from 0 on.
 */
index: number,
/**
 * Tokens that the model saw of it, those at its beginning and end included.
 */
tokens: number,
/**
 * Whether the text had more tokens than that.
 */
truncated: boolean,
/**
 * The vector.
 */
vector: Array<number>, };

/**
 * What can happen.
 */
export type Event = { "type": "probed" } & ProbeReport | { "type": "inspected" } & ModelReport | { "type": "models" } & ModelList | { "type": "model_added",
/**
 * The name under which it is listed.
 */
model: string, } | { "type": "model_removed",
/**
 * Its name.
 */
model: string, } | { "type": "loading" } & Loading | { "type": "loaded" } & Loaded | { "type": "prefilled",
/**
 * Tokens read so far.
 */
done_tokens: number,
/**
 * Tokens of the whole prompt.
 */
prompt_tokens: number, } | { "type": "token",
/**
 * The token's number in the vocabulary.
 */
id: number,
/**
 * The text that became whole with it.
 */
text: string,
/**
 * What the model thought with it, where its chat template marks thoughts; never part of `text`.
 */
reasoning?: string, } | { "type": "tool_call",
/**
 * Which call of this answer it is, from 0.
 */
index: number,
/**
 * By which the result names its call.
 */
id: string,
/**
 * The function's name.
 */
name: string,
/**
 * Its arguments, usually an object.
 */
arguments: unknown, } | { "type": "done" } & Done | { "type": "embedding" } & Embedding | { "type": "embedded" } & Embedded | { "type": "benching" } & Benching | { "type": "benched" } & BenchReport | { "type": "documents" } & DocumentList | { "type": "document_progress" } & DocumentProgress | { "type": "document_added" } & AddedDocument | { "type": "document_removed",
/**
 * As it was.
 */
document: Document, } | { "type": "passages" } & FoundPassages | { "type": "unloaded" } | { "type": "cancelling" } | { "type": "failed" } & Failure;

/**
 * An event with the number of the request that it answers.
 */
export type EventEnvelope = {
/**
 * The request's number.
 */
id: number,
/**
 * What happened.
 */
event: Event, };

/**
 * Why a request failed, in words for a person and a code for a program.
 */
export type Failure = {
/**
 * The kind of failure.
 */
code: FailureCode,
/**
 * What happened, with its figures.
 */
message: string,
/**
 * What to do about it.
 */
hint: string, };

/**
 * The kinds of failure.
 */
export type FailureCode = "truncated" | "malformed" | "missing_file" | "unknown_model" | "unknown_architecture" | "bad_config" | "unsupported_format" | "missing_tensor" | "wrong_shape" | "unexpected_tensor" | "tokenizer" | "template" | "wrong_task" | "invalid_request" | "constraint" | "prompt_too_long" | "not_loaded" | "busy" | "cancelled" | "out_of_memory" | "not_allowed" | "no_library" | "no_device" | "device_lost" | "device_fault" | "io" | "link";

/**
 * A file with weights.
 */
export type FileReport = {
/**
 * Its name.
 */
name: string,
/**
 * Its length.
 */
bytes: number, };

/**
 * Whether something fits.
 */
export type Fit = "fits" | "too_large" | "unknown" | "no_device";

/**
 * Whether a device can hold a model.
 */
export type FitReport = {
/**
 * In a word.
 */
fit: Fit,
/**
 * The device; empty if there is none.
 */
device: string,
/**
 * What is needed.
 */
needed_bytes: number,
/**
 * What is free; 0 if the platform does not tell.
 */
available_bytes: number,
/**
 * How much of that the weights of the model in use still take: they are freed before another is loaded.
 */
freed_bytes: number,
/**
 * In words for a person.
 */
reason: string, };

/**
 * How the numbers of a tensor are stored. [`crate::quant`] shows each block's layout.
 */
export type Format = "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q2_K" | "Q3_K" | "Q4_K" | "Q5_K" | "Q6_K" | "IQ4_NL" | "IQ4_XS" | "IQ3_XXS" | "IQ3_S" | "IQ2_XXS" | "IQ2_XS" | "IQ2_S" | "TQ1_0" | "TQ2_0" | "MXFP4" | "TRELLIS2" | "TRELLIS3" | "TRELLIS4" | "TRELLIS5" | "TRELLIS6" | "LEVELS2";

/**
 * One way in which weights are stored.
 */
export type FormatReport = {
/**
 * Its name.
 */
format: string,
/**
 * Whether this engine reads it.
 */
is_supported: boolean,
/**
 * Tensors stored so.
 */
tensors: number,
/**
 * Their weights.
 */
parameters: number,
/**
 * Their bytes.
 */
bytes: number, };

/**
 * What a search found.
 */
export type FoundPassages = {
/**
 * The nearest first.
 */
passages: Array<Passage>,
/**
 * The model that compared them.
 */
model: string,
/**
 * From the request on, its model's loading included.
 */
elapsed_ms: number, };

/**
 * What is measured of several models that were made of one: the content of a `frontier.json`, which
 * `hearth eval frontier -o` writes and which lies beside a model's weights.
 */
export type Frontier = {
/**
 * Of this description; 1.
 */
version: number,
/**
 * The model that all were made of and are compared with.
 */
reference: string,
/**
 * What they read, in words.
 */
text: string,
/**
 * Each of them.
 */
points: Array<FrontierPoint>, };

/**
 * A model beside the one that it was made of.
 */
export type FrontierPoint = {
/**
 * Its name.
 */
model: string,
/**
 * Bytes of all of its tensors, as stored.
 */
weights_bytes: number,
/**
 * Over the whole model.
 */
bits_per_weight: number,
/**
 * Over its linear layers: all but tables of embeddings, the head and norms.
 */
linear_bits_per_weight: number,
/**
 * How far its predictions lie from the reference's, in nats: Kullback and Leibler's divergence.
 */
kl_mean: number,
/**
 * The share of positions at which both find the same token likeliest.
 */
top_agreement: number,
/**
 * Of the text.
 */
perplexity: number,
/**
 * Beside the reference's: 0.05 is five hundredths more.
 */
perplexity_rise: number,
/**
 * The share of tokens that the model found likeliest, of the reference's.
 */
accuracy_kept: number,
/**
 * The share of pairs of sentences whose better one it finds likelier, if it was asked for any.
 */
pairs_accuracy: number | null,
/**
 * Who made it of the reference.
 */
quantizer: Quantizer, };

/**
 * A text to continue and how.
 */
export type GenerateRequest = {
/**
 * What to continue.
 */
prompt: Prompt,
/**
 * At most so many new tokens. None: as many as the context holds.
 */
max_tokens?: number | null,
/**
 * How the next token is chosen.
 */
sampling: Sampling,
/**
 * Texts at which the answer ends; they are not part of it.
 */
stop: Array<string>,
/**
 * The form that the answer must have. None: any text.
 */
constraint?: Constraint | null,
/**
 * Functions that the model may call, given to its chat template.
 */
tools?: Array<ToolDefinition> | null,
/**
 * Whether it may, must or must not call them.
 */
tool_choice?: ToolChoice | null, };

/**
 * Which model to look at.
 */
export type InspectRequest = {
/**
 * A name from the list, or a path where the host allows paths. Empty: the bundled model.
 */
model: string,
/**
 * Tokens of context to plan for. None: what a load without a wish would make room for.
 */
context_tokens?: number | null,
/**
 * Whether every tensor shall be listed.
 */
tensors: boolean,
/**
 * How keys and values would be cached.
 */
kv_cache?: KvFormat | null,
/**
 * Bytes of memory to choose a recipe for. None: what is free.
 */
memory_bytes?: number | null, };

/**
 * The time of one kernel in one step.
 */
export type KernelTime = {
/**
 * Its name.
 */
kernel: string,
/**
 * How often it runs in a step.
 */
count: number,
/**
 * Of all its runs, the median of some steps.
 */
ms: number,
/**
 * Of all kernels' time.
 */
fraction: number, };

/**
 * How keys and values are kept in a cache. [`crate::kernel::KvLayout`] has the layout.
 */
export type KvFormat = "f32" | "int8" | "int4";

/**
 * A kind of model file.
 */
export type Layout = "safetensors" | "gguf";

/**
 * Limits of a GPU.
 */
export type LimitsReport = {
/**
 * The largest buffer.
 */
max_buffer_bytes: number,
/**
 * The largest part of a buffer that a shader sees at once.
 */
max_storage_binding_bytes: number,
/**
 * Memory that a workgroup shares.
 */
max_workgroup_storage_bytes: number,
/**
 * Threads of a workgroup.
 */
max_workgroup_invocations: number,
/**
 * The least and the most threads of a subgroup; 0 where there are none.
 */
subgroup_size_min: number,
/**
 * See `subgroup_size_min`.
 */
subgroup_size_max: number, };

/**
 * A model on the list.
 */
export type ListedModel = {
/**
 * Its name.
 */
name: string,
/**
 * What it is, in words for a person; may be empty.
 */
description: string,
/**
 * Whether a person added it; only such a model can be removed.
 */
is_added: boolean,
/**
 * Where it lies, where the client may know that.
 */
place: string | null,
/**
 * Whether its files are no longer where they were.
 */
is_missing: boolean, };

/**
 * Which model to load, and where it shall run.
 */
export type LoadRequest = {
/**
 * A name from the registry, or a path where the host allows paths. Empty: the bundled model.
 */
model: string,
/**
 * CPU, GPU, or whichever is there.
 */
device: DeviceChoice,
/**
 * Tokens of context to make room for. None: the model's own, or what fits.
 */
context_tokens?: number | null,
/**
 * How keys and values are cached. Models that make vectors have no cache.
 */
kv_cache?: KvFormat | null,
/**
 * The most memory that weights, context and scratch may take together. Weights that do not fit are read anew for each
 * token. None: all of them stay.
 */
memory_budget_bytes?: number | null, };

/**
 * A step of loading.
 */
export type LoadStage = "opening" | "weights" | "compiling";

/**
 * A model that is ready, and where it runs.
 */
export type Loaded = {
/**
 * The model's name.
 */
model: string,
/**
 * Its architecture, as its file names it.
 */
architecture: string,
/**
 * What can be asked of it.
 */
tasks: Array<ModelTask>,
/**
 * Number of weights.
 */
parameters: number,
/**
 * Bytes of weights as stored.
 */
weights_bytes: number,
/**
 * Tokens of context there is room for.
 */
context_tokens: number,
/**
 * Whether the model brought a chat template.
 */
has_chat_template: boolean,
/**
 * What a person who chats with it should know first; none if there is nothing.
 */
notice: string | null,
/**
 * Where it runs.
 */
route: Route,
/**
 * On what: the GPU's name, or the CPU's SIMD level.
 */
adapter: string,
/**
 * Why this route, in words for a person.
 */
reason: string,
/**
 * From the request to ready.
 */
load_ms: number,
/**
 * Where its memory is; None of a model that makes vectors.
 */
memory?: MemoryUse, };

/**
 * How far the loading of a model is.
 */
export type Loading = {
/**
 * What is being done.
 */
stage: LoadStage,
/**
 * Bytes of weights on the device so far.
 */
done_bytes: number,
/**
 * Bytes of weights in all.
 */
total_bytes: number,
/**
 * Since the loading began.
 */
elapsed_ms: number, };

/**
 * What a recipe loses, measured.
 */
export type LossReport = {
/**
 * Of which model. Others lose more or less: larger models lose less.
 */
model: string,
/**
 * Whether that is the model that is asked about.
 */
is_own: boolean,
/**
 * As of a [`FrontierPoint`].
 */
kl_mean: number,
/**
 * As of a [`FrontierPoint`].
 */
perplexity_rise: number,
/**
 * As of a [`FrontierPoint`].
 */
accuracy_kept: number, };

/**
 * The memory that a model will take.
 */
export type MemoryPlan = {
/**
 * With so many tokens of context.
 */
context_tokens: number,
/**
 * Matrices of weights.
 */
weights_bytes: number,
/**
 * Keys and values of the tokens in the context.
 */
cache_bytes: number,
/**
 * What lives only within a step.
 */
scratch_bytes: number,
/**
 * Norms, tables, logits, and the logits once more where they are read.
 */
other_bytes: number,
/**
 * All together.
 */
total_bytes: number,
/**
 * What each token of the context adds to the cache, on average.
 */
cache_bytes_per_token: number,
/**
 * The largest piece that must lie in one buffer; matrices of weights are split where they must be.
 */
largest_buffer_bytes: number, };

/**
 * Memory.
 */
export type MemoryReport = {
/**
 * In all.
 */
total_bytes: number,
/**
 * Free for use.
 */
available_bytes: number, };

/**
 * Bytes by component and place.
 */
export type MemoryUse = {
/**
 * What it was asked to keep to; None if nothing was said.
 */
budget_bytes: number | null,
/**
 * What was planned before it was loaded; its weights are those that are in memory at a time.
 */
plan: MemoryPlan,
/**
 * What was really allocated on the device.
 */
allocated_bytes: number,
/**
 * Weights that stay.
 */
resident_bytes: number,
/**
 * Weights that are read anew for each step; 0 if all stay.
 */
streamed_bytes: number,
/**
 * Memory through which these come and go.
 */
slots_bytes: number,
/**
 * Embedding, layers and head, in the order in which a step needs them.
 */
components: Array<ComponentUse>, };

/**
 * The models that can be asked for by name.
 */
export type ModelList = {
/**
 * The one that is taken when none is named.
 */
bundled: string | null,
/**
 * All of them.
 */
models: Array<ListedModel>,
/**
 * Whether `add_model` and `remove_model` are allowed.
 */
can_add: boolean, };

/**
 * What a model's headers say. Nothing of this needs the weights.
 */
export type ModelReport = {
/**
 * The name under which it was found.
 */
model: string,
/**
 * In which kind of file it lies.
 */
layout: Layout,
/**
 * The files with its weights.
 */
files: Array<FileReport>,
/**
 * Who made it of what, as far as it says.
 */
about: AboutReport,
/**
 * Its architecture, as its file names it.
 */
architecture: string,
/**
 * Why it cannot run here; none if it can.
 */
unsupported: Failure | null,
/**
 * What can be asked of it; empty if it cannot run.
 */
tasks: Array<ModelTask>,
/**
 * Number of weights.
 */
parameters: number,
/**
 * Bytes of weights as stored.
 */
weights_bytes: number,
/**
 * Bits that a weight takes, over the whole model.
 */
bits_per_weight: number,
/**
 * Bits that a weight of a linear layer takes: over all matrices but tables of embeddings and the head. 0 if there are
 * none.
 */
linear_bits_per_weight: number,
/**
 * How the weights are stored, the format with the most bytes first.
 */
formats: Array<FormatReport>,
/**
 * Its sizes, as far as its configuration says.
 */
shape: ShapeReport,
/**
 * How it cuts text.
 */
tokenizer: TokenizerReport,
/**
 * What its chat template knows; none if it has none.
 */
template: TemplateReport | null,
/**
 * The context that was asked for, or that a load without a wish would make room for; none if it cannot run.
 */
context_tokens: number | null,
/**
 * What it needs at several lengths of context, the shortest first, `context_tokens` among them; empty if it
 * cannot run.
 */
outlooks: Array<Outlook>,
/**
 * The most context that fits the CPU's free memory; none if not even a little does, or nobody knows.
 */
context_tokens_max: number | null,
/**
 * What quantising it would save and lose.
 */
recipes: RecipesReport,
/**
 * Every tensor, if they were asked for.
 */
tensors: Array<TensorReport>, };

/**
 * What a model is made for.
 */
export type ModelTask = "generate" | "embed";

/**
 * What a model needs at one length of context, and whether that is there.
 */
export type Outlook = {
/**
 * What it needs.
 */
memory: MemoryPlan,
/**
 * Whether a CPU's memory suffices.
 */
cpu: FitReport,
/**
 * Whether the GPU can hold it.
 */
gpu: FitReport, };

/**
 * A part of a document that a search found.
 */
export type Passage = {
/**
 * The cosine of its vector and the question's.
 */
score: number,
/**
 * The document's number.
 */
document_id: number,
/**
 * The document's name.
 */
document: string,
/**
 * The headings that lead to it, or its page; empty if there are none.
 */
heading: string,
/**
 * Where it is.
 */
characters: PassageRange,
/**
 * Its text.
 */
text: string, };

/**
 * Where a passage is, in characters of its document's text.
 */
export type PassageRange = {
/**
 * Of the first.
 */
start: number,
/**
 * Behind the last.
 */
end: number, };

/**
 * Where the time of one plan goes.
 */
export type PlanProfile = {
/**
 * Prefill or decode.
 */
stage: BenchStage,
/**
 * Tokens in the cache before it.
 */
depth_tokens: number,
/**
 * Tokens of the step.
 */
tokens: number,
/**
 * All kernels together.
 */
total_ms: number,
/**
 * Each kernel, the one that takes the longest first.
 */
kernels: Array<KernelTime>, };

/**
 * How the vectors of a text's tokens become one.
 */
export type Pooling = "mean" | "cls" | "last";

/**
 * How fast a prompt is read.
 */
export type PrefillResult = {
/**
 * Its length.
 */
prompt_tokens: number,
/**
 * Tokens of the prompt over the time to the first new token.
 */
tokens_per_s: Spread, };

/**
 * What the probe found. Sizes in bytes; 0 where the platform does not tell.
 */
export type ProbeReport = {
/**
 * [`super::VERSION`].
 */
protocol_version: number,
/**
 * The engine's version.
 */
engine_version: string,
/**
 * "linux x86_64", "wasm32", ...
 */
platform: string,
/**
 * Each GPU that could run the engine, best first.
 */
adapters: Array<AdapterReport>,
/**
 * Why there is no adapter, if there is none.
 */
no_adapter_reason: string | null,
/**
 * The CPU.
 */
cpu: CpuReport,
/**
 * Memory of the machine, as far as the platform tells.
 */
memory: MemoryReport,
/**
 * The device that `auto` would take, and why.
 */
recommended: Recommendation, };

/**
 * What a generation continues.
 */
export type Prompt = { "kind": "chat",
/**
 * The turns so far; the last is usually the user's.
 */
messages: Array<ChatMessage>, } | { "kind": "text",
/**
 * The text.
 */
text: string, };

/**
 * Who chose a model's few bits.
 */
export type Quantizer = "hearth" | "gguf" | "none";

/**
 * One thing that a model can be made into.
 */
export type RecipeReport = {
/**
 * "3 bits", or "as it is".
 */
name: string,
/**
 * What to type for it; empty for the model as it is.
 */
command: string,
/**
 * Bits that a weight of a linear layer takes.
 */
linear_bits_per_weight: number,
/**
 * Bits that a weight takes, over the whole model.
 */
bits_per_weight: number,
/**
 * Bytes of all weights.
 */
weights_bytes: number,
/**
 * Bytes that it needs in all with the context that was planned for.
 */
needed_bytes: number,
/**
 * Whether that is there.
 */
fit: Fit,
/**
 * What it loses; none if that is not known.
 */
loss: LossReport | null, };

/**
 * What `hearth quantize` could make of a model, and which of that suits the memory at hand.
 */
export type RecipesReport = {
/**
 * Why it can make nothing of it; empty if it can.
 */
absence: string,
/**
 * The model as it is, and each recipe; what takes most comes first. Empty if there is an `absence`.
 */
recipes: Array<RecipeReport>,
/**
 * The memory that the choice was made for; none if nobody knows.
 */
memory_bytes: number | null,
/**
 * The context that the choice was made for.
 */
context_tokens: number,
/**
 * The name of the recipe that loses least of those that fit; none if none fits, or if nobody knows.
 */
recommended: string | null,
/**
 * Why, in words for a person.
 */
advice: string,
/**
 * What was measured of this very model; none if nothing lies beside it.
 */
frontier: Frontier | null, };

/**
 * The device to take.
 */
export type Recommendation = {
/**
 * Which kind.
 */
device: DeviceChoice,
/**
 * Why, in words for a person.
 */
reason: string, };

/**
 * What can be asked.
 */
export type Request = { "type": "probe" } | { "type": "models" } | { "type": "inspect" } & InspectRequest | { "type": "add_model",
/**
 * The model's folder, its `.gguf` file or any part of one.
 */
path: string, } | { "type": "remove_model",
/**
 * Its name.
 */
model: string, } | { "type": "load" } & LoadRequest | { "type": "generate" } & GenerateRequest | { "type": "embed" } & EmbedRequest | { "type": "bench" } & BenchRequest | { "type": "documents" } | { "type": "add_document" } & AddDocument | { "type": "remove_document",
/**
 * Its number.
 */
document: number, } | { "type": "refresh_documents",
/**
 * The embedding model, by its name. None: the one that `documents` names.
 */
model: string | null, } | { "type": "search_documents" } & SearchDocuments | { "type": "cancel",
/**
 * The number of the request to stop.
 */
target: number, } | { "type": "unload" };

/**
 * A request with the number that its events will carry.
 */
export type RequestEnvelope = {
/**
 * Chosen by the client, unique among its open requests.
 */
id: number,
/**
 * What is asked.
 */
request: Request, };

/**
 * Who speaks.
 */
export type Role = "system" | "user" | "assistant" | "tool";

/**
 * Where a model runs.
 */
export type Route = "webview-gpu" | "webview-cpu" | "native-gpu" | "native-cpu";

/**
 * How the next token is chosen from the logits. The steps apply in the order of the fields.
 */
export type Sampling = {
/**
 * Divides positive and multiplies negative logits of tokens already seen (Keskar et al. 2019, section 4.1);
 * 1 changes nothing.
 */
repetition_penalty: number,
/**
 * 0 is greedy: always the most likely token.
 */
temperature: number,
/**
 * Keep only so many most likely tokens; 0 keeps all.
 */
top_k: number,
/**
 * Keep the smallest set of most likely tokens whose probabilities reach this sum (Holtzman et al. 2020); 1 keeps all.
 */
top_p: number,
/**
 * Keep tokens at least this fraction as likely as the likeliest (Nguyen et al. 2024); 0 keeps all.
 */
min_p: number,
/**
 * The same seed, model, prompt and route give the same answer. None: a new one each time.
 */
seed?: number | null, };

/**
 * A question to the documents.
 */
export type SearchDocuments = {
/**
 * What is asked.
 */
question: string,
/**
 * How many passages, from 1 to 100.
 */
results: number,
/**
 * The embedding model, by its name. None: the one that `documents` names.
 */
model?: string | null, };

/**
 * A model's sizes.
 */
export type ShapeReport = {
/**
 * Tokens of context that it was made for.
 */
context_tokens: number | null,
/**
 * Tokens that it knows.
 */
vocab_size: number | null,
/**
 * Length of a token's vector.
 */
hidden: number | null,
/**
 * Number of blocks.
 */
layers: number | null,
/**
 * Query heads.
 */
heads: number | null,
/**
 * Key and value heads.
 */
kv_heads: number | null,
/**
 * Length of a head's vector.
 */
head_dim: number | null,
/**
 * Width of the feed-forward layer.
 */
feed_forward: number | null, };

/**
 * Something that was asked for and not measured.
 */
export type SkippedCase = {
/**
 * Prefill or decode.
 */
stage: BenchStage,
/**
 * Tokens of the prompt, or in the cache.
 */
tokens: number,
/**
 * Why.
 */
reason: string, };

/**
 * The middle of some measurements, and how far they lie apart.
 */
export type Spread = {
/**
 * Half of them are below it.
 */
median: number,
/**
 * The least.
 */
min: number,
/**
 * The greatest.
 */
max: number,
/**
 * Median of the distances from the median: half of the measurements lie within it.
 */
deviation: number,
/**
 * Each measurement, in order.
 */
samples: Array<number>, };

/**
 * Why an answer ended.
 */
export type StopReason = "end_of_turn" | "tool_calls" | "stop_text" | "max_tokens" | "context_full" | "cancelled";

/**
 * What was read while an answer was made, of weights that are not all in memory.
 */
export type Streamed = {
/**
 * Bytes of weights.
 */
bytes: number,
/**
 * Matrices, or several that are kept together.
 */
units: number,
/**
 * How many of them were on their way before they were needed.
 */
ahead: number, };

/**
 * A model's chat template.
 */
export type TemplateReport = {
/**
 * Whether it takes standing instructions.
 */
has_system: boolean,
/**
 * Whether it speaks of tools.
 */
has_tools: boolean,
/**
 * Whether it speaks of thinking.
 */
has_thinking: boolean, };

/**
 * A tensor in a file.
 */
export type TensorReport = {
/**
 * Its name.
 */
name: string,
/**
 * Rows first.
 */
shape: Array<number>,
/**
 * How it is stored.
 */
format: string,
/**
 * How long it is.
 */
bytes: number, };

/**
 * What a text is in a search.
 */
export type TextKind = "query" | "document";

/**
 * A model's tokenizer.
 */
export type TokenizerReport = {
/**
 * "byte-level BPE", "SentencePiece BPE", "Unigram", "WordPiece", ...
 */
kind: string,
/**
 * How many tokens it knows; none if it cannot be built.
 */
tokens: number | null, };

/**
 * A call of a function, as the model made it.
 */
export type ToolCall = {
/**
 * By which the result names its call; the model's own where it gave one.
 */
id: string,
/**
 * The function's name.
 */
name: string,
/**
 * Its arguments, usually an object.
 */
arguments: unknown, };

/**
 * Whether a model calls functions.
 */
export type ToolChoice = "auto" | "none" | "required" | { "named": string };

/**
 * A function that a model may call.
 */
export type ToolDefinition = {
/**
 * The function's name: letters, digits, `_`, `-` and `.`.
 */
name: string,
/**
 * What it does and when to call it, in words for the model.
 */
description?: string | null,
/**
 * JSON Schema of its arguments. None: a function without any.
 */
parameters?: unknown, };
