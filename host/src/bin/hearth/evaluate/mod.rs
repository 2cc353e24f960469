//! `eval`: how good a model is, alone and beside another.

mod compare;
mod frontier;
mod judge;
mod pairs;
mod perplexity;
mod picture;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hearth_host::{EngineHandle, ModelStore};

use crate::{
    args::Global,
    interrupt,
    output::{Output, Stop},
};

#[derive(Subcommand)]
pub enum Eval {
    /// How well the model predicts a text: lower is better
    Perplexity(Perplexity),
    /// How far the model's predictions lie from those of a reference, as the model that it was made of
    Compare(Compare),
    /// How often the model finds the better sentence of two likelier
    Pairs(Pairs),
    /// Several models beside their reference: what each takes, and what it loses
    Frontier(Frontier),
}

#[derive(Args)]
pub struct Perplexity {
    /// The file with the text, in UTF-8
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens the model sees at once [default: its context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub window: Option<u32>,
}

/// What is predicted, and how much of it.
#[derive(Args)]
pub struct Passage {
    /// The file with the text, in UTF-8
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens the models see at once
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..))]
    pub window: u32,
    /// Tokens of the text that are read [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub tokens: Option<u32>,
}

#[derive(Args)]
pub struct Compare {
    /// The model whose predictions are taken for right: its name, its folder or its .gguf file
    #[arg(long, value_name = "NAME|PATH")]
    pub reference: String,
    #[command(flatten)]
    pub passage: Passage,
}

#[derive(Args)]
pub struct Pairs {
    /// A file with a pair in each line, {"good": "...", "bad": "..."}, as BLiMP's are, or a folder with such .jsonl files
    #[arg(value_name = "FILE|DIR")]
    pub pairs: PathBuf,
    /// Pairs of each file that are read [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

#[derive(Args)]
#[command(
    after_help = "Example: hearth eval frontier ./model-4bit ./model-2bit model-Q4_K_M.gguf --reference ./model\n    \
    --text book.txt --pairs blimp/ -o frontier.svg -o model/frontier.json"
)]
pub struct Frontier {
    /// The models: names, folders or .gguf files
    #[arg(value_name = "NAME|PATH", required = true)]
    pub models: Vec<String>,
    /// The model that they were made of
    #[arg(long, value_name = "NAME|PATH")]
    pub reference: String,
    #[command(flatten)]
    pub passage: Passage,
    /// Pairs of sentences, as `eval pairs` reads them
    #[arg(long, value_name = "FILE|DIR")]
    pub pairs: Option<PathBuf>,
    /// Pairs of each file that are read [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// A picture of divergence over size, as SVG, or with .json at its end the table as `frontier.json`, which beside a
    /// model's weights is shown with the model; may be given more than once
    #[arg(short, long, value_name = "FILE")]
    pub out: Vec<PathBuf>,
}

/// `start` starts the engine, which only perplexity needs: the others hold two models at once.
pub fn eval(
    eval: &Eval,
    models: &ModelStore,
    global: &Global,
    output: &Output,
    start: impl FnOnce() -> Result<EngineHandle, Stop>,
) -> Result<(), Stop> {
    if !matches!(eval, Eval::Perplexity(_)) {
        interrupt::watch_work()?;
    }
    match eval {
        Eval::Perplexity(args) => perplexity::perplexity(&start()?, args, global, output),
        Eval::Compare(args) => compare::compare(models, args, global, output),
        Eval::Pairs(args) => pairs::pairs(models, args, global, output),
        Eval::Frontier(args) => frontier::frontier(models, args, global, output),
    }
}
