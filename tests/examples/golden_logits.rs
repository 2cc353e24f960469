//! Compares a GGUF file's logits on the CPU with a golden file's: `golden_logits FILE.gguf NAME [TOKENS]`. Only the first
//! so many tokens of each prompt count. Prints the largest divergence, in nats a position, and fails above 1e-5.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::process::ExitCode;

use hearth_engine::{
    decode::{Session, SessionOptions},
    device::{CpuDevice, Device, Serial, SimdLevel},
    file::{MemoryFolder, open_model},
    tensor::KvFormat,
};
use hearth_tests::{files::golden, numbers::kl_divergence};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, name, rest @ ..] = args.as_slice() else {
        eprintln!("golden_logits FILE.gguf NAME [TOKENS]");
        return ExitCode::FAILURE;
    };
    let tokens_max = rest.first().map_or(usize::MAX, |tokens| tokens.parse().expect("TOKENS is a number"));
    let folder = MemoryFolder::new("gguf").with("model.gguf", std::fs::read(path).expect("the file can be read"));
    let mut worst = 0.0_f64;
    for golden in golden(name) {
        let opened = pollster::block_on(open_model(&folder, Some("model.gguf"))).expect("it is a model");
        // As long as the prompt, so that a rope with two sets of factors takes the one that the reference took.
        let options =
            SessionOptions { context_tokens: golden.ids.len() as u32, scoring: true, kv_cache: KvFormat::F32 };
        let device = Device::Cpu(CpuDevice::with_simd(std::sync::Arc::new(Serial), SimdLevel::detect()));
        let mut session = pollster::block_on(Session::load(device, &opened, options, &mut |_| Ok(()))).expect("loads");
        let found = pollster::block_on(session.logits(&golden.ids)).expect("it runs");
        let vocab = found.len() / golden.ids.len();
        for (position, reference) in golden.rows().take(tokens_max) {
            worst = worst.max(kl_divergence(reference, &found[position * vocab..][..vocab]));
        }
    }
    println!("{name}: {worst:e} nats from the golden logits");
    if worst <= 1e-5 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
