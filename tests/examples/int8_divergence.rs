//! What activations of eight bits change: `int8_divergence FILE.gguf NAME`. Runs the prompts of the golden file of that
//! name on the CPU with activations in F32 and in eight bits, and prints the divergence of the second from the first,
//! in nats a position, and how often both find the same token likeliest.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::{process::ExitCode, sync::Arc};

use hearth_engine::{
    decode::{Session, SessionOptions},
    device::{
        CpuDevice, Device, Serial,
        cpu::{Activations, SimdLevel},
    },
    file::{MemoryFolder, open_model},
    tensor::KvFormat,
};
use hearth_tests::{files::golden, numbers::kl_divergence};

fn likeliest(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, name] = args.as_slice() else {
        eprintln!("int8_divergence FILE.gguf NAME");
        return ExitCode::FAILURE;
    };
    let folder = MemoryFolder::new("gguf").with("model.gguf", std::fs::read(path).expect("the file can be read"));
    let opened = pollster::block_on(open_model(&folder, Some("model.gguf"))).expect("it is a model");
    let mut sessions = [Activations::F32, Activations::Int8].map(|activations| {
        let device = Device::Cpu(CpuDevice::with(Arc::new(Serial), SimdLevel::detect(), activations));
        let options = SessionOptions { context_tokens: 512, scoring: true, kv_cache: KvFormat::F32 };
        pollster::block_on(Session::load(device, &opened, options, &mut |_| Ok(()))).expect("it loads")
    });
    let (mut total, mut worst, mut same, mut count) = (0.0, 0.0_f64, 0, 0);
    for golden in golden(name) {
        let [exact, rounded] =
            sessions.each_mut().map(|session| pollster::block_on(session.logits(&golden.ids)).expect("it runs"));
        let vocab = exact.len() / golden.ids.len();
        for (exact, rounded) in exact.chunks_exact(vocab).zip(rounded.chunks_exact(vocab)) {
            let divergence = kl_divergence(exact, rounded);
            (total, worst, count) = (total + divergence, worst.max(divergence), count + 1);
            same += usize::from(likeliest(exact) == likeliest(rounded));
        }
    }
    println!(
        "{path}: {:e} nats on average, {worst:e} at most; the same token in {same} of {count} positions",
        total / f64::from(count)
    );
    ExitCode::SUCCESS
}
