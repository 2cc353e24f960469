//! What each part of the GPU's decode is worth: `decode_speed MODEL|SHAPE/FORMAT [TOKENS [PROMPT [WAY]]]`. MODEL is a
//! folder or a GGUF file, as a path from the repository's root or absolute; SHAPE/FORMAT, as in `llama-8b/Q4_0`, has random
//! weights. Decodes greedily with one thing after the other switched off (with WAY, only those whose names hold it), and
//! prints dispatches a token, and milliseconds and tokens a second: the median of five runs after one to warm up.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::{process::ExitCode, time::Instant};

use hearth_engine::{
    bench::{open_shape, shape_name},
    decode::{Choosing, Session, SessionOptions, Sink},
    device::{Device, GpuDevice, GpuOptions},
    file::{BoxedFuture, OpenedModel},
    kernel::Step,
    model::PlanIndex,
    protocol::BenchShape,
    tensor::{Format, KvFormat},
};
use hearth_tests::sessions::open;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rest @ ..] = args.as_slice() else {
        eprintln!("decode_speed MODEL|SHAPE/FORMAT [TOKENS [PROMPT [WAY]]]");
        return ExitCode::FAILURE;
    };
    let number = |nth: usize, otherwise: u32| rest.get(nth).map_or(Ok(otherwise), |text| text.parse());
    let (Ok(tokens), Ok(prompt)) = (number(0, 256), number(1, 128)) else {
        eprintln!("TOKENS and PROMPT are numbers");
        return ExitCode::FAILURE;
    };
    let wanted_way = rest.get(2).map_or("", String::as_str);
    let base = GpuOptions::default();
    let ahead = Choosing { on_device: true, steps_ahead: 2 };
    let ways = [
        ("everything", base.clone(), ahead),
        ("nothing ahead", base.clone(), Choosing { steps_ahead: 0, ..ahead }),
        ("4 steps ahead", base.clone(), Choosing { steps_ahead: 4, ..ahead }),
        ("choice on the host", base.clone(), Choosing::HOST),
        ("nothing fused", GpuOptions { fused: Some(false), ..base.clone() }, ahead),
        ("nothing read wide", GpuOptions { wide: Some(false), ..base.clone() }, ahead),
        ("all read wide", GpuOptions { wide: Some(true), ..base.clone() }, ahead),
        ("products of integers", GpuOptions { int8: true, ..base.clone() }, ahead),
        ("no subgroups", GpuOptions { subgroups: Some(false), ..base.clone() }, ahead),
        ("32 threads for rows", GpuOptions { matvec_threads: Some(32), ..base.clone() }, ahead),
        ("64 threads for rows", GpuOptions { matvec_threads: Some(64), ..base.clone() }, ahead),
        ("128 threads for rows", GpuOptions { matvec_threads: Some(128), ..base.clone() }, ahead),
        ("64 threads for heads", GpuOptions { attention_threads: Some(64), ..base.clone() }, ahead),
        ("128 threads for heads", GpuOptions { attention_threads: Some(128), ..base.clone() }, ahead),
        ("context in 1 piece", GpuOptions { attention_splits: Some(1), ..base.clone() }, ahead),
        ("context in 8 pieces", GpuOptions { attention_splits: Some(8), ..base.clone() }, ahead),
        ("context in 32 pieces", GpuOptions { attention_splits: Some(32), ..base }, ahead),
    ];
    let opened = shape(path).unwrap_or_else(|| open(path));
    println!("{:<22} {:>10} {:>10} {:>10}", "", "dispatches", "ms a token", "tokens/s");
    for (name, options, choosing) in ways.into_iter().filter(|(name, ..)| name.contains(wanted_way)) {
        let gpu = pollster::block_on(GpuDevice::open(&options)).expect("there is a GPU");
        let wanted = SessionOptions { context_tokens: prompt + tokens, scoring: false, kv_cache: KvFormat::F32 };
        let loaded = pollster::block_on(Session::load(Device::Gpu(gpu), &opened, wanted, &mut |_| Ok(())));
        let mut session = loaded.expect("it fits the GPU");
        session.set_choosing(choosing);
        let ids: Vec<u32> = (0..prompt).map(|nth| 100 + nth % 150).collect();
        let mut runs = Vec::new();
        for _ in 0..6 {
            session.clear();
            let mut times = Times(Vec::new());
            pollster::block_on(session.run_on(&ids, tokens as usize, &mut times)).expect("it runs");
            let seconds = times.0.last().map_or(0.0, |last| (*last - times.0[0]).as_secs_f64());
            runs.push(seconds * 1000.0 / (times.0.len().max(2) - 1) as f64);
        }
        let mut runs = runs.split_off(1);
        runs.sort_unstable_by(f64::total_cmp);
        let ms = runs[runs.len() / 2];
        let step = Step { position: prompt + tokens / 2, tokens: 1 };
        let Device::Gpu(gpu) = session.device() else { return ExitCode::FAILURE };
        let tail = if choosing.on_device { gpu.kernels(PlanIndex::Choose as usize, step).len() } else { 0 };
        let dispatches = gpu.kernels(PlanIndex::Decode as usize, step).len() + tail;
        println!("{name:<22} {dispatches:>10} {ms:>10.3} {:>10.1}", 1000.0 / ms);
    }
    ExitCode::SUCCESS
}

/// A model of random weights: `llama-8b/Q4_0`, say.
fn shape(name: &str) -> Option<OpenedModel> {
    let (shape, format) = name.split_once('/')?;
    let shape = [BenchShape::Llama1b, BenchShape::Llama8b, BenchShape::Qwen3_0_6b]
        .into_iter()
        .find(|known| shape_name(*known) == shape)?;
    let format = Format::from_name(format)?;
    Some(open_shape(shape, format, 1).expect("the shape takes the format"))
}

/// When each token came.
struct Times(Vec<Instant>);

impl Sink for Times {
    fn prefilled(&mut self, _done_tokens: usize, _prompt_tokens: usize) {}

    fn token(&mut self, _id: u32, _text: String) {
        self.0.push(Instant::now());
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
