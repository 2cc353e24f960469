//! What can be said on the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use hearth_engine::{
    device::cpu::Activations,
    protocol::{self, DeviceChoice, LoadRequest, Sampling},
    tensor::{Format, KvFormat},
};

use crate::{
    bench::Lengths,
    form::{Form, Tools},
    kv_cache::KvCache,
    values::{fraction, gibibytes, non_negative, positive},
};

/// Runs language models on this machine's GPU or CPU.
#[derive(Parser)]
#[command(name = "hearth", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed or stopped, 2 the command was not understood.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command knows.
#[derive(Args)]
pub struct Global {
    /// A model's name, its folder or its .gguf file [default: the bundled model]
    #[arg(short, long, global = true, value_name = "NAME|PATH")]
    pub model: Option<String>,
    /// Where the model runs; auto takes a real GPU if there is one
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub device: Device,
    /// Tokens of context to make room for [default: the model's own, or what fits]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub context: Option<u32>,
    /// How keys and values are cached [default: int8; eval: f32]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub kv_cache: Option<KvCache>,
    /// The most memory for weights, context and scratch, in GiB: weights that do not fit are read anew for each token
    #[arg(long, global = true, value_name = "GIB", value_parser = gibibytes)]
    pub memory_budget: Option<u64>,
    /// Threads for work on the CPU [default: one for each physical core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Do not round what meets quantised weights to 8 bits on the CPU: several times slower, for comparisons
    #[arg(long, global = true)]
    exact: bool,
    /// Print JSON for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on stderr, and with --json print loading and prefill events; repeat for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    pub fn activations(&self) -> Activations {
        if self.exact { Activations::F32 } else { Activations::Int8 }
    }

    pub fn threads(&self) -> Option<usize> {
        self.threads.and_then(|threads| usize::try_from(threads).ok())
    }

    /// What to load.
    pub fn load(&self) -> LoadRequest {
        LoadRequest {
            model: self.model.clone().unwrap_or_default(),
            device: self.device.into(),
            context_tokens: self.context,
            kv_cache: self.kv_cache(KvFormat::default()),
            memory_budget_bytes: self.memory_budget,
        }
    }

    /// How keys and values are cached, if nothing is wanted as is said.
    pub fn kv_cache(&self, otherwise: KvFormat) -> KvFormat {
        self.kv_cache.map_or(otherwise, KvFormat::from)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    Auto,
    Gpu,
    Cpu,
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Gpu => Self::Gpu,
            Device::Cpu => Self::Cpu,
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Ask the model, or talk with it if no prompt is given
    Chat(Chat),
    /// Continue a text as it is, without a chat template
    Complete(Complete),
    /// Turn texts into vectors, with an embedding model
    Embed(Embed),
    /// Search in documents of your own by meaning, with an embedding model
    Documents(crate::documents::Documents),
    /// Show the tokens of a text
    Tokenize(Tokenize),
    /// Show what this machine can do
    Probe,
    /// Show what a model is and what it needs, without loading it
    Inspect(Inspect),
    /// Download a model into the store, or go on where a download ended
    Pull(crate::pull::Pull),
    /// List the models that have a name, add one of your own, or look after those that were downloaded
    #[command(subcommand_value_name = "COMMAND", args_conflicts_with_subcommands = true)]
    Models {
        #[command(subcommand)]
        command: Option<crate::models::Models>,
    },
    /// Measure how good a model is
    #[command(subcommand)]
    Eval(crate::evaluate::Eval),
    /// Make a smaller model of a model, with weights of 2 to 6 bits
    Quantize(crate::quantize::Quantize),
    /// Measure how fast a model is here
    Bench(Bench),
    /// Serve the user interface and the engine to browsers on this machine
    Serve(Serve),
}

#[derive(Args)]
pub struct Chat {
    /// What to say; `-` reads it from standard input, as does a pipe
    pub prompt: Option<String>,
    /// Standing instructions for the model
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Whether the model's thoughts are shown, on stderr; auto shows them to a person at a terminal
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub reasoning: Reasoning,
    #[command(flatten)]
    pub tools: Tools,
    #[command(flatten)]
    pub generation: Generation,
}

/// When what a model thinks before it answers is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reasoning {
    Auto,
    Show,
    Hide,
}

#[derive(Args)]
pub struct Complete {
    /// The text to continue; `-` reads it from standard input
    pub prompt: String,
    #[command(flatten)]
    pub generation: Generation,
}

/// How an answer is made.
#[derive(Args)]
pub struct Generation {
    /// Always take the most likely token
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "min_p"])]
    greedy: bool,
    /// 0 is greedy; higher is more varied [default: 0.7]
    #[arg(long, value_name = "T", value_parser = non_negative)]
    temperature: Option<f32>,
    /// Choose among so many most likely tokens; 0 is all [default: 40]
    #[arg(long, value_name = "N")]
    top_k: Option<u32>,
    /// Choose among the most likely tokens that together have this probability [default: 0.95]
    #[arg(long, value_name = "P", value_parser = fraction)]
    top_p: Option<f32>,
    /// Choose among tokens at least this fraction as likely as the likeliest [default: 0.05]
    #[arg(long, value_name = "P", value_parser = fraction)]
    min_p: Option<f32>,
    /// Make tokens that were there before less likely; 1 changes nothing [default: 1]
    #[arg(long, value_name = "R", value_parser = positive)]
    repetition_penalty: Option<f32>,
    /// The same seed gives the same answer
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// At most so many new tokens [default: as many as the context holds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// End the answer where this text would come; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub form: Form,
}

impl Generation {
    pub fn sampling(&self) -> Sampling {
        let default = if self.greedy { Sampling::greedy() } else { Sampling::default() };
        Sampling {
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            temperature: self.temperature.unwrap_or(default.temperature),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            seed: self.seed,
        }
    }
}

#[derive(Args)]
pub struct Embed {
    /// A text; `-` reads one from standard input. Without any, a pipe is read, one text a line
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
    /// A file with one text a line; `-` is standard input. Empty lines are passed over
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub file: Option<PathBuf>,
    /// How the vectors of a text's tokens become one [default: as the model was trained]
    #[arg(long, value_enum)]
    pub pooling: Option<Pooling>,
    /// Leave the vectors as long as they are, rather than of length 1
    #[arg(long)]
    pub no_normalize: bool,
    /// Refuse a text that is too long for the model, rather than cut it
    #[arg(long)]
    pub no_truncate: bool,
    /// The texts are questions: put before them what the model wants there
    #[arg(long, conflicts_with = "document")]
    pub query: bool,
    /// The texts are passages to be found: put before them what the model wants there
    #[arg(long)]
    pub document: bool,
    /// Put these words before each text, in place of the model's own: an instruction, where the model follows one
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["query", "document"])]
    pub prompt: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pooling {
    /// The mean of all tokens
    Mean,
    /// The first token
    Cls,
    /// The last token
    Last,
}

impl From<Pooling> for protocol::Pooling {
    fn from(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Cls => Self::Cls,
            Pooling::Last => Self::Last,
        }
    }
}

#[derive(Args)]
pub struct Tokenize {
    /// The text; `-` reads it from standard input
    #[arg(required_unless_present = "file")]
    pub text: Option<String>,
    /// Add no special tokens, and read those that are spelled out as plain text
    #[arg(long)]
    pub no_special: bool,
    /// Cut many texts: a file with one JSON string a line, answered by one JSON array of ids a line; `-` reads standard
    /// input
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub file: Option<String>,
}

#[derive(Args)]
pub struct Inspect {
    /// A model's folder, .gguf file (of a split one any part) or name
    pub path: String,
    /// List every tensor too
    #[arg(long)]
    pub tensors: bool,
    /// Memory to choose a recipe of `hearth quantize` for, in GiB [default: what is free]
    #[arg(long, value_name = "GIB", value_parser = gibibytes)]
    pub memory: Option<u64>,
}

/// See docs/bench.md.
#[derive(Args)]
#[command(after_help = "What does not fit the model's context or the memory is skipped and says why.\n\
    Examples: hearth bench --shape llama-1b --format q4_0 --prefill 512 --depth none\n          \
    hearth bench --model ./model.gguf --device gpu --depth 0,4096 --json")]
pub struct Bench {
    /// Measure a known shape with random weights, made as they are needed; no files, no tokenizer
    #[arg(long, value_enum)]
    pub shape: Option<Shape>,
    /// How the shape's matrices are stored: Q4_0, Q8_0, Q4_K, F16, ...
    #[arg(long, value_name = "F", default_value = "Q4_0", value_parser = crate::bench::format)]
    pub format: Format,
    /// Lengths of prompts to read, as 128,512 or none [default: 128,512,2048]
    #[arg(long, value_name = "N,N")]
    pub prefill: Option<Lengths>,
    /// Tokens in the cache before decoding, as 0,4096 or none [default: 0,2048,8192]
    #[arg(long, value_name = "N,N")]
    pub depth: Option<Lengths>,
    /// New tokens of each decoding
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    pub decode: u32,
    /// How often each length is measured, after one shorter run to warm up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Begin no further repeat of a length after so many seconds
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub case_seconds: u32,
    /// Leave out the time of each kernel
    #[arg(long)]
    pub no_profile: bool,
    /// Start a second time, with the compiled shaders that the first start left behind
    #[arg(long)]
    pub warm_start: bool,
    /// What the random weights begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Two small layers, to see that it works
    Tiny,
    /// Llama 3.2 1B
    #[value(name = "llama-1b")]
    Llama1b,
    /// Llama 2 7B
    #[value(name = "llama-2-7b")]
    Llama2,
    /// Llama 3.1 8B
    #[value(name = "llama-8b")]
    Llama8b,
    /// Qwen3 0.6B
    #[value(name = "qwen3-0.6b")]
    Qwen3,
}

#[derive(Args)]
pub struct Serve {
    /// The port; 0 takes any that is free
    #[arg(long, default_value_t = 11500)]
    pub port: u16,
    /// The name or address to listen on; anything but this machine's own lets others in
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// The built user interface [default: the one that came with Hearth]
    #[arg(long, value_name = "DIR")]
    pub ui: Option<PathBuf>,
    /// The documents that pages may search [default: the app's, unless --host lets others in]
    #[arg(long, value_name = "FILE")]
    pub documents: Option<PathBuf>,
    /// A page from elsewhere that may ask, as http://host:port; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
}
