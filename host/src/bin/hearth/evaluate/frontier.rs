//! `eval frontier`: what models made of one reference take, and what they lose.

use std::path::Path;

use hearth_engine::{
    Error,
    file::FRONTIER_VERSION,
    protocol::{self, FrontierPoint},
};
use hearth_host::ModelStore;

use super::{
    Frontier,
    compare::diverge,
    judge::Judge,
    pairs::{self, CONTEXT_TOKENS, PairFile},
    picture,
};
use crate::{
    args::Global,
    interrupt,
    output::{Output, Stop, bytes},
};

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
    let mut measured = Ok(());
    for name in &args.models {
        match point(models, &mut reference, name, &windows, (files.as_deref(), context), global, output) {
            Ok(point) => {
                if output.json {
                    output.json(&point)?
                } else {
                    output.line(row(&point))?
                }
                points.push(point);
            }
            // What was measured before is written all the same.
            Err(stop) => {
                measured = Err(stop);
                break;
            }
        }
    }
    if let (Some(whole), Ok(()), false) = (whole, &measured, output.json) {
        let size = bytes(reference.weights_bytes);
        output.line(format!("{size:>10}{:>73.2} %  {}, the reference", 100.0 * whole, reference.name))?;
    }
    let tokens: usize = windows.iter().map(Vec::len).sum();
    let found = protocol::Frontier {
        version: FRONTIER_VERSION,
        reference: last(&args.reference).to_owned(),
        text: format!(
            "{}, {tokens} tokens in windows of {}",
            args.passage.text.file_name().unwrap_or_default().to_string_lossy(),
            args.passage.window
        ),
        points,
    };
    for file in args.out.iter().filter(|_| !found.points.is_empty()) {
        write(file, &found)?;
    }
    measured
}

/// What one model takes and loses; an error if the person wants to wait no longer.
fn point(
    models: &ModelStore,
    reference: &mut Judge,
    name: &str,
    windows: &[Vec<u32>],
    (files, context): (Option<&[PairFile]>, u32),
    global: &Global,
    output: &Output,
) -> Result<FrontierPoint, Stop> {
    let mut model = Judge::open(models, name, context, global, output)?;
    let found = diverge(reference, &mut model, windows, output)?;
    let pairs_accuracy = files.map(|files| asked(&mut model, files, output)).transpose()?;
    // Part of a text is not what the other models are measured by.
    interrupt::check()?;
    Ok(FrontierPoint {
        model: name.to_owned(),
        weights_bytes: model.weights_bytes,
        bits_per_weight: model.bits_per_weight,
        linear_bits_per_weight: model.linear_bits_per_weight,
        kl_mean: found.kl_mean(),
        top_agreement: found.top_agreement(),
        perplexity: found.perplexity(),
        perplexity_rise: found.perplexity() / found.reference_perplexity() - 1.0,
        accuracy_kept: found.accuracy() / found.reference_accuracy(),
        pairs_accuracy,
        quantizer: model.quantizer,
    })
}

/// As a file's ending says: a table or a picture.
fn write(file: &Path, found: &protocol::Frontier) -> Result<(), Stop> {
    let name = file.display().to_string();
    let content = if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
        // It is read elsewhere: whose folders these were is nobody's business there.
        let points = found.points.iter().cloned();
        let points = points.map(|point| FrontierPoint { model: last(&point.model).to_owned(), ..point }).collect();
        let shown = protocol::Frontier { points, ..found.clone() };
        let text = serde_json::to_string_pretty(&shown).map_err(|error| Error::malformed(&name, error))?;
        format!("{text}\n")
    } else {
        picture::draw(&found.points)?
    };
    std::fs::write(file, content).map_err(|error| Stop::io(name, &error))
}

/// The last part of a path, by which people know a model.
pub fn last(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}

fn asked(judge: &mut Judge, files: &[PairFile], output: &Output) -> Result<f64, Stop> {
    Ok(pairs::mean(&pairs::score(judge, files, output)?))
}

fn row(point: &FrontierPoint) -> String {
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
