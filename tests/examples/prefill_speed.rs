//! How fast prompts are read: `prefill_speed SHAPE FORMAT [TOKENS,TOKENS,...]`, with SHAPE one of tiny, llama-1b, llama-8b
//! and qwen3-0.6b. Random weights; on the best GPU, in each way in which it can compute batches. Prints tokens a second
//! up to the first token of an answer, the median of five runs after one to warm up, and where a batch's time goes.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use hearth_engine::{
    bench::open_shape,
    decode::{Session, SessionOptions, Sink},
    device::{AttentionKind, CoopTile, Device, GpuDevice, GpuOptions, MatmulKind},
    file::BoxedFuture,
    model::PlanIndex,
    protocol::BenchShape,
    tensor::{Format, KvFormat},
};

/// Nobody listens.
struct Nobody;

impl Sink for Nobody {
    fn prefilled(&mut self, _done_tokens: usize, _prompt_tokens: usize) {}

    fn token(&mut self, _id: u32, _text: String) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [shape, format, rest @ ..] = args.as_slice() else {
        eprintln!("prefill_speed SHAPE FORMAT [TOKENS,TOKENS,...]");
        return ExitCode::FAILURE;
    };
    let shape = match shape.as_str() {
        "llama-8b" => BenchShape::Llama8b,
        "llama-1b" => BenchShape::Llama1b,
        "qwen3-0.6b" => BenchShape::Qwen3_0_6b,
        _ => BenchShape::Tiny,
    };
    let Some(format) = Format::from_name(format) else {
        eprintln!("{format} is no format");
        return ExitCode::FAILURE;
    };
    let lengths = rest.first().map_or("512", String::as_str);
    let Ok(lengths) = lengths.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>() else {
        eprintln!("{lengths} are not numbers");
        return ExitCode::FAILURE;
    };
    let base = GpuOptions::default();
    let matmul = |kind| GpuOptions { matmul: Some(kind), ..base.clone() };
    let coop = |tile| matmul(MatmulKind::Cooperative(tile));
    let ways = [
        ("everything", base.clone()),
        ("no matrices", GpuOptions { subgroups: Some(false), ..base.clone() }),
        ("small tiles", matmul(MatmulKind::Plain)),
        ("attention in F32", GpuOptions { attention: Some(AttentionKind::Tiled), ..base.clone() }),
        ("128 by 128", coop(CoopTile::LARGE)),
        ("128 by 128 in 4", coop(CoopTile { token_groups: 2, token_tiles: 4, words: 8, ..CoopTile::LARGE })),
        ("64 by 64", coop(CoopTile::MEDIUM)),
    ];
    // The first of them is enough for a large model.
    let count = rest.get(1).and_then(|count| count.parse().ok()).unwrap_or(ways.len());
    let opened = open_shape(shape, format, 7).expect("the shape is known");
    for (name, options) in ways.into_iter().take(count) {
        let gpu = pollster::block_on(GpuDevice::open(&options)).expect("there is a GPU");
        let context_tokens = lengths.iter().copied().max().unwrap_or(0) + 8;
        let started = Instant::now();
        let wanted = SessionOptions { context_tokens, scoring: false, kv_cache: KvFormat::F32 };
        let loaded = pollster::block_on(Session::load(Device::Gpu(gpu), &opened, wanted, &mut |_| Ok(())));
        let mut session = loaded.expect("it fits the GPU");
        println!("{name}: loaded in {:.1} s", started.elapsed().as_secs_f64());
        for tokens in &lengths {
            let ids: Vec<u32> = (0..*tokens).map(|nth| nth * 7 % 500).collect();
            let mut runs = Vec::new();
            for _ in 0..6 {
                session.clear();
                let started = Instant::now();
                pollster::block_on(session.run_on(&ids, 1, &mut Nobody)).expect("it runs");
                runs.push(started.elapsed().as_secs_f64() * 1000.0);
            }
            let mut runs = runs.split_off(1);
            runs.sort_unstable_by(f64::total_cmp);
            println!(
                "{name}: {tokens} tokens in {:.2} ms: {:.0} tokens/s",
                runs[2],
                f64::from(*tokens) * 1000.0 / runs[2]
            );
        }
        tell_kernels(name, &mut session);
    }
    ExitCode::SUCCESS
}

/// Prints where a batch's time goes.
fn tell_kernels(name: &str, session: &mut Session) {
    session.clear();
    let batch: Vec<u32> = (0..session.prefill_tokens().min(512)).collect();
    let started = Instant::now();
    let now_ms = || started.elapsed().as_secs_f64() * 1000.0;
    let times = pollster::block_on(session.time_step(PlanIndex::Prefill, &batch, &now_ms)).expect("it runs");
    let mut kernels: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    for timed in times.unwrap_or_default() {
        let entry = kernels.entry(timed.kernel.name()).or_default();
        *entry = (entry.0 + timed.ms, entry.1 + 1);
    }
    for (kernel, (ms, count)) in kernels {
        println!("{name}: {ms:>9.3} ms in {count:>4} of {kernel}");
    }
}
