//! `bench`: how fast a model is here.

use hearth_engine::protocol::{Done, GenerateRequest, Loaded, Prompt, Request, Sampling};
use hearth_host::EngineHandle;
use serde::Serialize;

use crate::{
    args::{Bench, Global},
    output::{Output, Stop},
    session::{load, request},
};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    route: hearth_engine::protocol::Route,
    adapter: &'a str,
    parameters: u64,
    weights_bytes: u64,
    load_ms: f64,
    prompt_tokens: u32,
    decode_tokens: u32,
    repeats: usize,
    first_token_ms: Spread,
    prefill_tokens_per_s: Spread,
    decode_tokens_per_s: Spread,
}

/// The middle of the measurements, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Of at least one measurement.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Self { median, min: values.first().copied().unwrap_or(0.0), max: values.last().copied().unwrap_or(0.0) }
    }
}

pub fn bench(engine: &EngineHandle, args: &Bench, global: &Global, output: &Output) -> Result<(), Stop> {
    let loaded = load(engine, global, output)?;
    let mut runs: Vec<Done> = Vec::new();
    // The first run warms caches and compilers up and is not counted.
    for run in 0..=args.repeat {
        output.progress(&format!("Measuring … {run} of {}", args.repeat));
        let prompt = prompt_of(engine, args.prefill, run)?;
        let done = measure(engine, prompt, args.decode)?;
        if run > 0 {
            runs.push(done);
        }
    }
    output.end_progress();
    let report = report(&loaded, &runs);
    if output.json { output.json(&report) } else { print(&report, args, output) }
}

fn measure(engine: &EngineHandle, text: String, decode: u32) -> Result<Done, Stop> {
    let generation = GenerateRequest {
        prompt: Prompt::Text { text },
        max_tokens: Some(decode),
        sampling: Sampling::greedy(),
        ..GenerateRequest::default()
    };
    match request(engine, Request::Generate(generation), |_| Ok(()))? {
        hearth_engine::protocol::Event::Done(done) => Ok(done),
        _ => Err(Stop::Interrupted),
    }
}

/// Words that begin each run's prompt differently, so that no run finds the one before it in the cache.
const OPENINGS: [&str; 8] = ["The", "A", "In", "We", "She", "No", "It", "On"];

/// Words that most vocabularies hold whole.
const FILLING: [&str; 4] = ["and", "the", "house", "was"];

fn words(opening: &str, count: usize) -> String {
    let filling = FILLING.iter().cycle().take(count.saturating_sub(1));
    filling.fold(opening.to_owned(), |text, word| text + " " + word)
}

/// A text of as many tokens as wanted, or nearly so if the tokenizer cuts words into pieces.
fn prompt_of(engine: &EngineHandle, tokens: u32, run: u32) -> Result<String, Stop> {
    let opening = OPENINGS[run as usize % OPENINGS.len()];
    let wanted = tokens as usize;
    let mut count = wanted;
    for _ in 0..8 {
        let found = engine.tokenize(&words(opening, count), true)?.len();
        let better = (count + wanted).saturating_sub(found).max(1);
        if better == count {
            break;
        }
        count = better;
    }
    Ok(words(opening, count))
}

fn report<'a>(loaded: &'a Loaded, runs: &[Done]) -> Report<'a> {
    let prefill = |run: &Done| f64::from(run.prompt_tokens - run.cached_tokens) / run.first_token_ms * 1000.0;
    Report {
        model: &loaded.model,
        route: loaded.route,
        adapter: &loaded.adapter,
        parameters: loaded.parameters,
        weights_bytes: loaded.weights_bytes,
        load_ms: loaded.load_ms,
        prompt_tokens: runs.iter().map(|run| run.prompt_tokens).min().unwrap_or(0),
        decode_tokens: runs.iter().map(|run| run.tokens).min().unwrap_or(0),
        repeats: runs.len(),
        first_token_ms: Spread::of(runs.iter().map(|run| run.first_token_ms)),
        prefill_tokens_per_s: Spread::of(runs.iter().map(prefill)),
        decode_tokens_per_s: Spread::of(runs.iter().map(|run| run.decode_tokens_per_s)),
    }
}

fn print(report: &Report<'_>, args: &Bench, output: &Output) -> Result<(), Stop> {
    let line = |name: &str, spread: Spread, unit: &str| {
        output.line(format!("{name:<12} {:>10.1} {unit}   ({:.1} to {:.1})", spread.median, spread.min, spread.max))
    };
    output.line(format!("{} on {}, median of {} runs", report.model, report.adapter, report.repeats))?;
    output.line(format!("load         {:>10.1} ms", report.load_ms))?;
    line("first token", report.first_token_ms, "ms")?;
    line("prefill", report.prefill_tokens_per_s, &format!("tokens/s over {} tokens", report.prompt_tokens))?;
    line("decode", report.decode_tokens_per_s, &format!("tokens/s over {} tokens", report.decode_tokens))?;
    if report.decode_tokens < args.decode {
        output.warning("the model ended its text early; the decode rate is over fewer tokens than asked for");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([5.0].into_iter()), Spread { median: 5.0, min: 5.0, max: 5.0 });
    }
}
