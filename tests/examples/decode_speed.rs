//! What each part of the GPU's decode is worth: `decode_speed MODEL [TOKENS [PROMPT]]`. MODEL is a folder or a GGUF file,
//! as a path from the repository's root or absolute. Decodes greedily with one thing after the other switched off, and
//! prints dispatches a token, and milliseconds and tokens a second: the median of five runs after one to warm up.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::{process::ExitCode, time::Instant};

use hearth_engine::{
    decode::{Choosing, Session, SessionOptions},
    device::{Device, GpuDevice, GpuOptions},
    kernel::Step,
    model::PlanIndex,
    text::Tokenizer,
};
use hearth_tests::sessions::{generate, open};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rest @ ..] = args.as_slice() else {
        eprintln!("decode_speed MODEL [TOKENS [PROMPT]]");
        return ExitCode::FAILURE;
    };
    let number = |nth: usize, otherwise: u32| rest.get(nth).map_or(Ok(otherwise), |text| text.parse());
    let (Ok(tokens), Ok(prompt)) = (number(0, 256), number(1, 128)) else {
        eprintln!("TOKENS and PROMPT are numbers");
        return ExitCode::FAILURE;
    };
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
        ("4 rows a workgroup", GpuOptions { matvec_quads: Some(1), ..base.clone() }, ahead),
        ("8 rows a workgroup", GpuOptions { matvec_quads: Some(2), ..base.clone() }, ahead),
        ("16 rows a workgroup", GpuOptions { matvec_quads: Some(4), ..base.clone() }, ahead),
        ("64 threads for heads", GpuOptions { attention_threads: Some(64), ..base.clone() }, ahead),
        ("128 threads for heads", GpuOptions { attention_threads: Some(128), ..base.clone() }, ahead),
        ("context in 1 piece", GpuOptions { attention_splits: Some(1), ..base.clone() }, ahead),
        ("context in 8 pieces", GpuOptions { attention_splits: Some(8), ..base.clone() }, ahead),
        ("context in 32 pieces", GpuOptions { attention_splits: Some(32), ..base }, ahead),
    ];
    let opened = open(path);
    let tokenizer = Tokenizer::from_documents(&opened.documents).expect("it has a tokenizer");
    println!("{:<22} {:>10} {:>10} {:>10} {:>8}", "", "dispatches", "ms a token", "tokens/s", "tokens");
    for (name, options, choosing) in ways {
        let gpu = pollster::block_on(GpuDevice::open(&options)).expect("there is a GPU");
        let wanted = SessionOptions { context_tokens: prompt + tokens, scoring: false };
        let loaded = pollster::block_on(Session::load(Device::Gpu(gpu), &opened, wanted, &mut |_| Ok(())));
        let mut session = loaded.expect("it fits the GPU");
        session.set_choosing(choosing);
        let (mut runs, mut made) = (Vec::new(), 0);
        for _ in 0..6 {
            session.clear();
            let ids: Vec<u32> = (0..prompt).map(|nth| 1000 + nth % 500).collect();
            let (mut first, mut last) = (None, Instant::now());
            let mut on_token = |_| {
                last = Instant::now();
                first.get_or_insert(last);
            };
            let answer = generate(&mut session, &tokenizer, &ids, tokens, &mut on_token).expect("it runs");
            made = answer.ids.len();
            let seconds = first.map_or(0.0, |first| (last - first).as_secs_f64());
            runs.push(seconds * 1000.0 / (made.max(2) - 1) as f64);
        }
        let mut runs = runs.split_off(1);
        runs.sort_unstable_by(f64::total_cmp);
        let ms = runs[runs.len() / 2];
        let step = Step { position: prompt + tokens / 2, tokens: 1 };
        let Device::Gpu(gpu) = session.device() else { return ExitCode::FAILURE };
        let tail = if choosing.on_device { gpu.kernels(PlanIndex::Choose as usize, step).len() } else { 0 };
        let dispatches = gpu.kernels(PlanIndex::Decode as usize, step).len() + tail;
        println!("{name:<22} {dispatches:>10} {ms:>10.3} {:>10.1} {made:>8}", 1000.0 / ms);
    }
    ExitCode::SUCCESS
}
