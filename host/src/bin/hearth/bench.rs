//! `bench`: how fast a model is here.

use std::{fmt::Write as _, str::FromStr};

use hearth_engine::{
    protocol::{
        self, BenchReport, BenchRequest, BenchStage, BenchStart, BenchSubject, Benching, Event, PlanProfile, Request,
        SkippedCase, Spread,
    },
    tensor::{Format, KvFormat},
};
use hearth_host::EngineHandle;

use crate::{
    args::{Bench, Global, Shape},
    output::{Output, Stop, bytes, count},
    session::{loading_line, request, unexpected},
};

/// Lengths, with commas between them, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths(Vec<u32>);

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let number = |part: &str| part.trim().parse().map_err(|_| format!("{part:?} is not a number of tokens"));
        text.split(',').map(number).collect::<Result<_, _>>().map(Self)
    }
}

/// A format by its name, in letters of either kind.
pub fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Format::ALL.into_iter().chain(Format::STRIPS).map(Format::name).collect();
        format!("it must be one of {}", known.join(", "))
    })
}

impl From<Shape> for protocol::BenchShape {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Tiny => Self::Tiny,
            Shape::Llama1b => Self::Llama1b,
            Shape::Llama2 => Self::Llama2_7b,
            Shape::Llama8b => Self::Llama8b,
            Shape::Qwen3 => Self::Qwen3_0_6b,
        }
    }
}

pub fn bench(engine: &EngineHandle, args: &Bench, global: &Global, output: &Output) -> Result<(), Stop> {
    let what = match &args.shape {
        Some(_) => "random weights",
        None => global.model.as_deref().unwrap_or("the bundled model"),
    };
    let last = request(engine, Request::Bench(wanted(args, global)?), |event| {
        match event {
            Event::Loading(loading) => output.progress(&loading_line(what, loading)),
            Event::Benching(benching) => output.progress(&benching_line(benching)),
            _ => {}
        }
        if output.json && output.verbose && !event.is_terminal() { output.json(event) } else { Ok(()) }
    })?;
    output.end_progress();
    match last {
        Event::Benched(report) if output.json => output.json(&report),
        Event::Benched(report) => output.text(&table(&report)),
        other => Err(unexpected(&other)),
    }
}

fn wanted(args: &Bench, global: &Global) -> Result<BenchRequest, Stop> {
    if args.shape.is_some() && global.model.is_some() {
        return Err(Stop::Usage("--model and --shape contradict each other: one of them is measured".into()));
    }
    if global.context.is_some() {
        return Err(Stop::Usage(
            "bench makes room for what it measures: say --prefill and --depth, not --context".into(),
        ));
    }
    Ok(BenchRequest {
        subject: match args.shape {
            Some(shape) => BenchSubject::Shape { shape: shape.into(), format: args.format },
            None => BenchSubject::Model { model: global.model.clone().unwrap_or_default() },
        },
        device: global.device.into(),
        prefill_tokens: args.prefill.clone().map(|Lengths(tokens)| tokens),
        depth_tokens: args.depth.clone().map(|Lengths(tokens)| tokens),
        decode_tokens: Some(args.decode),
        repeats: Some(args.repeat),
        case_ms_max: Some(f64::from(args.case_seconds) * 1000.0),
        profile: Some(!args.no_profile),
        warm_start: Some(args.warm_start),
        seed: Some(args.seed),
        kv_cache: global.kv_cache(KvFormat::default()),
        memory_budget_bytes: global.memory_budget,
    })
}

fn benching_line(benching: &Benching) -> String {
    let Benching { stage, tokens, repeat, repeats, done, total, elapsed_ms } = *benching;
    let what = match stage {
        BenchStage::Bandwidth => "memory".to_owned(),
        BenchStage::Prefill | BenchStage::Decode => {
            let which = if repeat == 0 { "to warm up".to_owned() } else { format!("{repeat} of {repeats}") };
            format!("{}, {which}", case(stage, tokens, None))
        }
        BenchStage::Profile => "kernels".to_owned(),
    };
    format!("Measuring {what} … step {} of {total}, {:.0} s", done + 1, elapsed_ms / 1000.0)
}

/// "prefill 512", "decode 64 at 2048".
fn case(stage: BenchStage, tokens: u32, decode_tokens: Option<u32>) -> String {
    match (stage, decode_tokens) {
        (BenchStage::Prefill, _) => format!("prefill {tokens}"),
        (_, Some(decode_tokens)) => format!("decode {decode_tokens} at {tokens}"),
        _ => format!("decode at {tokens}"),
    }
}

/// What is printed for a person.
fn table(report: &BenchReport) -> String {
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = write_table(report, &mut out);
    out
}

fn write_table(report: &BenchReport, out: &mut String) -> std::fmt::Result {
    let BenchReport { machine, memory, .. } = report;
    // As the protocol spells it.
    let route = serde_json::to_value(report.route).unwrap_or_default();
    writeln!(out, "{} on {} ({})", report.name, report.adapter, route.as_str().unwrap_or_default())?;
    writeln!(
        out,
        "{} parameters in {}; Hearth {} on {}, {}",
        count(report.parameters),
        bytes(report.weights_bytes),
        machine.engine_version,
        machine.platform,
        machine_line(report)
    )?;
    writeln!(out)?;
    for (start, name) in report.starts.iter().zip(["first token", "warm start"]) {
        writeln!(out, "{name:<20} {}", start_line(start))?;
    }
    let copy = giga(report.copy_bytes_per_s);
    writeln!(out, "{:<20} copied at {copy:.2} GB/s, read at {:.2} GB/s", "memory", giga(report.read_bytes_per_s))?;
    write!(out, "{:<20} {} on the device", "", bytes(report.peak_device_bytes))?;
    write!(out, " (weights {}, cache {}", bytes(memory.weights_bytes), bytes(memory.cache_bytes))?;
    write!(out, ", scratch {}, other {})", bytes(memory.scratch_bytes), bytes(memory.other_bytes))?;
    if let Some(peak) = report.peak_process_bytes {
        write!(out, "; {} in the process", bytes(peak))?;
    }
    if let Some(streamed) = report.streamed_bytes_per_token {
        write!(out, "\n{:<20} {} of the weights are read anew for each token", "", bytes(streamed))?;
    }
    writeln!(out, "\n")?;
    writeln!(out, "{:<20} {:>10} {:>10} {:>10} {:>8}  of bandwidth", "", "tokens/s", "least", "most", "+-")?;
    for result in &report.prefill {
        writeln!(out, "{}", speed(&case(BenchStage::Prefill, result.prompt_tokens, None), &result.tokens_per_s))?;
    }
    for result in &report.decode {
        let name = case(BenchStage::Decode, result.depth_tokens, Some(result.decode_tokens));
        let fraction = result.roofline_fraction * 100.0;
        writeln!(out, "{} {fraction:>12.1} %", speed(&name, &result.tokens_per_s))?;
    }
    for SkippedCase { stage, tokens, reason } in &report.skipped {
        writeln!(out, "{:<20} skipped: {reason}", case(*stage, *tokens, None))?;
    }
    report.profile.iter().try_for_each(|profile| write_profile(profile, out))?;
    if let Some(absence) = report.profile_absence.as_ref().filter(|_| report.profile.is_empty()) {
        writeln!(out, "\nno times of kernels: {absence}")?;
    }
    Ok(())
}

fn machine_line(report: &BenchReport) -> String {
    let cpu = &report.machine.cpu;
    match &report.machine.gpu {
        Some(gpu) => format!("{} {}, {}", gpu.backend, gpu.kind, gpu.driver),
        None => format!("{} ({}, {} of {} cores)", cpu.name, cpu.simd, cpu.threads, cpu.cores),
    }
}

fn start_line(start: &BenchStart) -> String {
    let BenchStart { open_ms, prepare_ms, weights_ms, first_inference_ms, first_token_ms } = start;
    format!(
        "{first_token_ms:.0} ms (device {open_ms:.0}, memory and shaders {prepare_ms:.0}, weights {weights_ms:.0}, \
         first prompt {first_inference_ms:.0})"
    )
}

fn giga(number: f64) -> f64 {
    number / 1e9
}

fn speed(name: &str, spread: &Spread) -> String {
    let Spread { median, min, max, deviation, .. } = spread;
    format!("{name:<20} {median:>10.2} {min:>10.2} {max:>10.2} {deviation:>8.2}")
}

fn write_profile(profile: &PlanProfile, out: &mut String) -> std::fmt::Result {
    let what = match profile.stage {
        BenchStage::Prefill => format!("a batch of {} tokens", profile.tokens),
        _ => format!("a token at {}", profile.depth_tokens),
    };
    writeln!(out, "\n{:<20} {:>10} {:>6} {:>8}  ({:.3} ms in all)", what, "ms", "runs", "", profile.total_ms)?;
    for kernel in &profile.kernels {
        let (ms, runs, percent) = (kernel.ms, kernel.count, kernel.fraction * 100.0);
        writeln!(out, "  {:<18} {ms:>10.3} {runs:>6} {percent:>6.1} %", kernel.kernel)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_numbers_between_commas_or_none() {
        assert_eq!("128,512".parse(), Ok(Lengths(vec![128, 512])));
        assert_eq!("0".parse(), Ok(Lengths(vec![0])));
        assert_eq!("none".parse(), Ok(Lengths(vec![])));
        assert!("128,".parse::<Lengths>().is_err() && "-1".parse::<Lengths>().is_err());
    }

    #[test]
    fn formats_go_by_their_names() {
        assert_eq!(format("q4_k"), Ok(Format::Q4_K));
        assert_eq!(format("IQ2_XXS"), Ok(Format::IQ2_XXS));
        assert!(format("q4").is_err_and(|words| words.contains("Q4_0")));
    }
}
