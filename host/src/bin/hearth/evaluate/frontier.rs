//! `eval frontier`: what models made of one reference take, and what they lose.

use hearth_host::ModelStore;
use serde::Serialize;

use super::{
    Frontier,
    compare::diverge,
    judge::Judge,
    pairs::{self, CONTEXT_TOKENS, PairFile},
    picture,
};
use crate::{
    args::Global,
    output::{Output, Stop, bytes},
};

/// A model beside its reference.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub model: String,
    pub weights_bytes: u64,
    /// Over the whole model.
    pub bits_per_weight: f64,
    /// Over its linear layers: all but tables of embeddings, the head and norms.
    pub linear_bits_per_weight: f64,
    pub kl_mean: f64,
    pub top_agreement: f64,
    pub perplexity: f64,
    /// Beside the reference's: 0.05 is five hundredths more.
    pub perplexity_rise: f64,
    /// The share of tokens that the model found likeliest, of the reference's.
    pub accuracy_kept: f64,
    pub pairs_accuracy: Option<f64>,
}

pub fn frontier(models: &ModelStore, args: &Frontier, global: &Global, output: &Output) -> Result<(), Stop> {
    let files = args.pairs.as_ref().map(|path| pairs::read(path, args.limit)).transpose()?;
    let context = args.passage.window.max(if files.is_some() { CONTEXT_TOKENS } else { 0 });
    let mut reference = Judge::open_reference(models, &args.reference, context, global, output)?;
    let windows = reference.windows(&args.passage)?;
    let whole = files.as_deref().map(|files| asked(&mut reference, files, output)).transpose()?;
    if !output.json {
        output.line(format!(
            "{:>10} {:>6} {:>6} {:>9} {:>8} {:>11} {:>8} {:>8}{}",
            "size",
            "bits",
            "linear",
            "KL, nats",
            "same 1st",
            "perplexity",
            "rise",
            "1st kept",
            files.as_ref().map_or("", |_| "    pairs")
        ))?;
    }
    let mut points = Vec::new();
    for name in &args.models {
        let mut model = Judge::open(models, name, context, global, output)?;
        let found = diverge(&mut reference, &mut model, &windows, output)?;
        let point = Point {
            model: name.clone(),
            weights_bytes: model.weights_bytes,
            bits_per_weight: model.bits_per_weight,
            linear_bits_per_weight: model.linear_bits_per_weight,
            kl_mean: found.kl_mean(),
            top_agreement: found.top_agreement(),
            perplexity: found.perplexity(),
            perplexity_rise: found.perplexity() / found.reference_perplexity() - 1.0,
            accuracy_kept: found.accuracy() / found.reference_accuracy(),
            pairs_accuracy: files.as_deref().map(|files| asked(&mut model, files, output)).transpose()?,
        };
        if output.json {
            output.json(&point)?
        } else {
            output.line(row(&point))?
        }
        points.push(point);
    }
    if let (Some(whole), false) = (whole, output.json) {
        let size = bytes(reference.weights_bytes);
        output.line(format!("{size:>10}{:>73.2} %  {}, the reference", 100.0 * whole, reference.name))?;
    }
    let Some(file) = &args.out else { return Ok(()) };
    let name = file.display().to_string();
    std::fs::write(file, picture::draw(&points)?).map_err(|error| Stop::io(name, &error))
}

fn asked(judge: &mut Judge, files: &[PairFile], output: &Output) -> Result<f64, Stop> {
    Ok(pairs::mean(&pairs::score(judge, files, output)?))
}

fn row(point: &Point) -> String {
    let pairs = point.pairs_accuracy.map_or_else(String::new, |accuracy| format!(" {:6.2} %", 100.0 * accuracy));
    format!(
        "{:>10} {:6.3} {:6.3} {:9.5} {:6.2} % {:11.3} {:+6.2} % {:6.2} %{pairs}  {}",
        bytes(point.weights_bytes),
        point.bits_per_weight,
        point.linear_bits_per_weight,
        point.kl_mean,
        100.0 * point.top_agreement,
        point.perplexity,
        100.0 * point.perplexity_rise,
        100.0 * point.accuracy_kept,
        point.model
    )
}
