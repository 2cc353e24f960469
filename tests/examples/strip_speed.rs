//! What products with one vector take on a GPU, by its own clock: `strip_speed [FORMAT [THREADS]]`. Eight times the
//! matrices of a layer of Llama 8B, which no cache holds; their numbers are zeros, which changes nothing. Prints for each
//! format and way of reading the microseconds of each product, and of a whole model's layers.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::process::ExitCode;

use hearth_engine::{
    device::{Device, GpuDevice, GpuOptions},
    kernel::{
        Gated, Matvec, RmsNorm, Step,
        shader::{gated, rms_norm},
    },
    plan::{Command, Plan, Program, TensorKind},
    tensor::{Format, TensorId},
};

const HIDDEN: u32 = 4096;
const WIDTH: u32 = 14_336;
const COPIES: usize = 8;
const LAYERS: f64 = 32.0;
const RUNS: usize = 7;

fn matrix(program: &mut Program, format: Format, rows: u32, columns: u32) -> TensorId {
    program.declare("weights", TensorKind::Weight(format), rows.into(), columns.into())
}

fn vector(program: &mut Program, kind: TensorKind, columns: u32) -> TensorId {
    program.declare("vector", kind, 1, columns.into())
}

/// Queries with keys and values as one matrix; output; gate and up; down.
fn record(format: Format) -> Program {
    let mut program = Program::default();
    let (x, norm) = (vector(&mut program, TensorKind::State, HIDDEN), vector(&mut program, TensorKind::State, HIDDEN));
    let mut commands = Vec::new();
    let product = |x, weights, out, [rows, columns]: [u32; 2], accumulate| {
        Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate })
    };
    let normed = |x, weight, out| {
        let params = rms_norm::Params { columns: HIDDEN, epsilon: 1e-5, rows: 1 };
        Command::RmsNorm(RmsNorm { x, weight, out, single: false, params })
    };
    for _ in 0..COPIES {
        let [first, second] = [(); 2].map(|()| vector(&mut program, TensorKind::Scratch, HIDDEN));
        let (mixed, out) = (HIDDEN + 2048, vector(&mut program, TensorKind::State, HIDDEN));
        let weights = matrix(&mut program, format, mixed, HIDDEN);
        let projected = vector(&mut program, TensorKind::State, mixed);
        commands.push(normed(x, norm, first));
        commands.push(product(first, weights, projected, [mixed, HIDDEN], false));
        let weights = matrix(&mut program, format, HIDDEN, HIDDEN);
        commands.push(product(x, weights, out, [HIDDEN, HIDDEN], true));
        let [gate, up, activated] = [(); 3].map(|()| vector(&mut program, TensorKind::Scratch, WIDTH));
        commands.push(normed(x, norm, second));
        for raised in [gate, up] {
            let weights = matrix(&mut program, format, WIDTH, HIDDEN);
            commands.push(product(second, weights, raised, [WIDTH, HIDDEN], false));
        }
        let params = gated::Params { columns: WIDTH, activation: 0 };
        commands.push(Command::Gated(Gated { gate, up, out: activated, params }));
        let weights = matrix(&mut program, format, HIDDEN, WIDTH);
        commands.push(product(activated, weights, out, [HIDDEN, WIDTH], true));
    }
    program.plans.push(Plan { name: "layers".into(), tokens_max: 1, commands });
    program
}

fn measure(format: Format, way: &str, options: &GpuOptions) -> hearth_engine::Result<()> {
    let program = record(format);
    let mut gpu = Device::Gpu(pollster::block_on(GpuDevice::open(options))?);
    pollster::block_on(gpu.prepare(&program))?;
    let mut runs = Vec::new();
    for _ in 0..=RUNS {
        let Some(timed) = pollster::block_on(gpu.time_step(0, Step { position: 0, tokens: 1 }, &[0], &|| 0.0))? else {
            eprintln!("this GPU tells no times");
            return Ok(());
        };
        runs.push(timed);
    }
    // The first run warms up; of the others each product's median over copies and runs.
    let products = runs[0].len() / COPIES;
    let us: Vec<f64> = (0..products)
        .map(|nth| {
            let times = runs[1..].iter().flat_map(|run| run.iter().skip(nth).step_by(products));
            let mut times: Vec<f64> = times.map(|timed| timed.ms * 1000.0).collect();
            times.sort_unstable_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect();
    let each: Vec<String> = us.iter().map(|us| format!("{us:8.2}")).collect();
    let layer_us: f64 = us.iter().sum();
    let bytes: u64 =
        program.tensors.iter().filter(|decl| matches!(decl.kind, TensorKind::Weight(_))).map(|decl| decl.bytes()).sum();
    let gb_per_s = bytes as f64 / COPIES as f64 / layer_us / 1000.0;
    println!(
        "{:<10} {way:<24} {} | {:7.3} ms for {LAYERS} layers, {gb_per_s:6.0} GB/s",
        format.name(),
        each.join(" "),
        layer_us * LAYERS / 1000.0
    );
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let threads = args.get(1).and_then(|text| text.parse().ok());
    let formats = match args.first().and_then(|name| Format::from_name(name)) {
        Some(format) => vec![format],
        None => [Format::Q4_0].into_iter().chain(Format::STRIPS).collect(),
    };
    let base = GpuOptions { matvec_threads: threads, ..GpuOptions::default() };
    println!("{:<35} {:>8} {:>8} {:>8} {:>8}", "", "qkv", "out", "gate up", "down");
    for format in formats {
        for (way, options) in [
            ("as it is", base.clone()),
            ("without packed products", GpuOptions { wide: Some(false), ..base.clone() }),
            ("integers", GpuOptions { int8: true, ..base.clone() }),
        ] {
            if let Err(error) = measure(format, way, &options) {
                eprintln!("{format}, {way}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
