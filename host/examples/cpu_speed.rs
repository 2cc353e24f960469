//! How fast the CPU device alone is: a Llama of half a billion weights, whose numbers mean nothing.
//!
//!     cargo run --release -p hearth-host --example cpu_speed -- Q4_0 int8 2 [LEVEL]
//!
//! Prints the best of some runs: tokens a second of wall time, and milliseconds of processor time, which other
//! programs on the machine disturb less. `docs/performance.md` says how to read them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::time::Instant;

use hearth_engine::{
    device::cpu::{Activations, CpuDevice, SimdLevel},
    kernel::{
        Attention, Embed, Gated, KvWrite, LastRow, Matmul, Matvec, RmsNorm, Rope, Step,
        shader::{attention, gated, kv_write, last_row, rms_norm, rope},
    },
    plan::{Command, Plan, Program, TensorKind},
    quant::trellis::STRIP_ROWS,
    tensor::{Format, KvFormat, TensorId},
};
use hearth_host::worker_pool;

const DIM: u32 = 2048;
const LAYERS: u32 = 8;
const HEADS: u32 = 32;
const KV_HEADS: u32 = 8;
const HEAD_DIM: u32 = DIM / HEADS;
const WIDE: u32 = 5632;
const VOCAB: u32 = 32768;
const CONTEXT: u32 = 1024;
const PREFILL: u32 = 512;
/// Tokens of a step of the prefill, as models record it.
const BATCH: u32 = 128;
const DECODE: u32 = 32;

/// Records the program: two plans, for one token and for a batch.
struct Recorder {
    program: Program,
    format: Format,
}

impl Recorder {
    fn weight(&mut self, rows: u32, columns: u32) -> TensorId {
        self.program.declare("weight", TensorKind::Weight(self.format), rows.into(), columns.into())
    }

    fn state(&mut self, rows: u32, columns: u32) -> TensorId {
        self.program.declare("state", TensorKind::State, rows.into(), columns.into())
    }
}

struct Layer {
    norms: [TensorId; 2],
    /// Queries, keys, values, output, gate, up, down.
    weights: [TensorId; 7],
    keys: TensorId,
    values: TensorId,
}

fn product(
    tokens_max: u32,
    x: TensorId,
    weights: TensorId,
    out: TensorId,
    [columns, rows]: [u32; 2],
    accumulate: bool,
) -> Command {
    if tokens_max == 1 {
        Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate })
    } else {
        Command::Matmul(Matmul { x, weights, out, columns, rows, accumulate })
    }
}

fn norm(x: TensorId, weight: TensorId, out: TensorId, single: bool) -> Command {
    let params = rms_norm::Params { columns: DIM, epsilon: 1e-5, rows: 1 };
    Command::RmsNorm(RmsNorm { x, weight, out, single, params })
}

fn turn(table: TensorId, x: TensorId, heads: u32) -> Command {
    let params = rope::Params { heads, head_dim: HEAD_DIM, rotary: HEAD_DIM, interleaved: 0 };
    Command::Rope(Rope { table, x, params })
}

fn keep(x: TensorId, cache: TensorId) -> Command {
    let params = kv_write::Params { kv_heads: KV_HEADS, head_dim: HEAD_DIM, context: CONTEXT };
    Command::KvWrite(KvWrite { x, cache, format: KvFormat::F32, params })
}

fn record(format: Format) -> Program {
    let mut recorder = Recorder { program: Program::default(), format };
    let ids = recorder.program.declare("ids", TensorKind::Tokens, 1, BATCH.into());
    let table = recorder.weight(VOCAB, DIM);
    let (last_norm, ropes) = (recorder.state(1, DIM), recorder.state(CONTEXT, HEAD_DIM));
    let layers: Vec<Layer> = (0..LAYERS)
        .map(|_| Layer {
            norms: [recorder.state(1, DIM), recorder.state(1, DIM)],
            weights: [
                recorder.weight(DIM, DIM),
                recorder.weight(KV_HEADS * HEAD_DIM, DIM),
                recorder.weight(KV_HEADS * HEAD_DIM, DIM),
                recorder.weight(DIM, DIM),
                recorder.weight(WIDE, DIM),
                recorder.weight(WIDE, DIM),
                recorder.weight(DIM, WIDE),
            ],
            keys: recorder.state(KV_HEADS * CONTEXT, HEAD_DIM),
            values: recorder.state(KV_HEADS * CONTEXT, HEAD_DIM),
        })
        .collect();
    let [x, normed, q, out] = [(); 4].map(|()| recorder.state(BATCH, DIM));
    let [k, v] = [(); 2].map(|()| recorder.state(BATCH, KV_HEADS * HEAD_DIM));
    let [gate, up, wide] = [(); 3].map(|()| recorder.state(BATCH, WIDE));
    let (last, logits) = (recorder.state(1, DIM), recorder.state(1, VOCAB));
    for tokens_max in [1, BATCH] {
        let mut commands = vec![Command::Embed(Embed { table, ids, out: x, columns: DIM })];
        for layer in &layers {
            let [wq, wk, wv, wo, w_gate, w_up, w_down] = layer.weights;
            let params = attention::Params {
                heads: HEADS,
                kv_heads: KV_HEADS,
                head_dim: HEAD_DIM,
                context: CONTEXT,
                scale: 0.125,
                causal: 1,
                ..attention::Params::default()
            };
            let (keys, values) = (layer.keys, layer.values);
            commands.extend([
                norm(x, layer.norms[0], normed, false),
                product(tokens_max, normed, wq, q, [DIM, DIM], false),
                product(tokens_max, normed, wk, k, [DIM, KV_HEADS * HEAD_DIM], false),
                product(tokens_max, normed, wv, v, [DIM, KV_HEADS * HEAD_DIM], false),
                turn(ropes, q, HEADS),
                turn(ropes, k, KV_HEADS),
                keep(k, keys),
                keep(v, values),
                Command::Attention(Attention { queries: q, keys, values, format: KvFormat::F32, out, params }),
                product(tokens_max, out, wo, x, [DIM, DIM], true),
                norm(x, layer.norms[1], normed, false),
                product(tokens_max, normed, w_gate, gate, [DIM, WIDE], false),
                product(tokens_max, normed, w_up, up, [DIM, WIDE], false),
                Command::Gated(Gated { gate, up, out: wide, params: gated::Params { columns: WIDE, activation: 0 } }),
                product(tokens_max, wide, w_down, x, [WIDE, DIM], true),
            ]);
        }
        commands.push(Command::LastRow(LastRow { x, out: last, params: last_row::Params { columns: DIM } }));
        commands.push(norm(last, last_norm, normed, true));
        let (columns, rows, accumulate) = (DIM, VOCAB, false);
        commands.push(Command::Matvec(Matvec { x: normed, weights: table, out: logits, columns, rows, accumulate }));
        recorder.program.plans.push(Plan { name: "plan".into(), tokens_max, commands });
    }
    recorder.program
}

/// Fills every weight with random bits and sane scales, and every state with ones.
fn fill(device: &mut CpuDevice, program: &Program) {
    let mut state = 1_u64;
    for (index, decl) in program.tensors.iter().enumerate() {
        let id = TensorId(index as u32);
        match decl.kind {
            TensorKind::Weight(format) => {
                let row_bytes = format.row_bytes(decl.columns).expect("rows are whole blocks") as usize;
                let mut bytes = vec![0; row_bytes * 64];
                for first in (0..decl.rows).step_by(64) {
                    for word in bytes.as_chunks_mut::<8>().0 {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        *word = state.to_le_bytes();
                    }
                    if format.strip_bits().is_some() {
                        for strip in bytes.chunks_exact_mut(row_bytes * STRIP_ROWS) {
                            strip[..2 * STRIP_ROWS].as_chunks_mut().0.fill(0x1400_u16.to_le_bytes());
                        }
                    } else {
                        bytes.chunks_exact_mut(format.block_bytes()).for_each(|block| sane(format, block));
                    }
                    let rows = first..decl.rows.min(first + 64);
                    let count = (rows.end - rows.start) as usize;
                    device.upload(id, rows, &bytes[..count * row_bytes]).expect("the rows fit");
                }
            }
            TensorKind::State => device.write(id, 0, &vec![1.0; decl.elements() as usize]).expect("they fit"),
            _ => {}
        }
    }
}

/// Gives a block the scale 2^-10 in binary16 wherever it has one.
fn sane(format: Format, block: &mut [u8]) {
    let places: &[usize] = match format {
        Format::Q6_K => &[208],
        Format::Q3_K => &[108],
        Format::Q4_K | Format::Q5_K | Format::Q4_1 | Format::Q5_1 => &[0, 2],
        Format::Q2_K => &[80, 82],
        Format::TQ2_0 => &[64],
        Format::F16 | Format::BF16 => &[0],
        Format::F32 => &[],
        _ => &[0],
    };
    for place in places {
        block[*place..place + 2].copy_from_slice(&0x1400_u16.to_le_bytes());
    }
}

/// Nanoseconds that this process has spent on processors.
fn processor_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    texts.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// The least wall and processor milliseconds of some runs.
fn best(runs: usize, mut work: impl FnMut()) -> (f64, f64) {
    let (mut wall_ms, mut processor_ms) = (f64::MAX, f64::MAX);
    for _ in 0..runs {
        let (start, start_ns) = (Instant::now(), processor_ns());
        work();
        wall_ms = wall_ms.min(start.elapsed().as_secs_f64() * 1e3);
        processor_ms = processor_ms.min((processor_ns() - start_ns) as f64 / 1e6);
    }
    (wall_ms, processor_ms)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| args.get(at).map_or("", String::as_str);
    let Some(format) = Format::from_name(word(0)) else {
        eprintln!("cpu_speed FORMAT int8|f32 THREADS [LEVEL]");
        return;
    };
    let activations = if word(1) == "f32" { Activations::F32 } else { Activations::Int8 };
    let threads = word(2).parse().unwrap_or(1);
    let level = SimdLevel::ALL.into_iter().find(|level| level.name() == word(3)).unwrap_or_else(SimdLevel::detect);
    let program = record(format);
    let mut device = CpuDevice::with(worker_pool(threads), level, activations);
    device.prepare(&program).expect("there is memory");
    fill(&mut device, &program);
    let ids: Vec<u32> = (0..BATCH).map(|nth| nth * 7 % VOCAB).collect();
    let runs = word(4).parse().unwrap_or(3);
    let prefill = best(runs, || {
        for position in (0..PREFILL).step_by(BATCH as usize) {
            device.run(1, Step { position, tokens: BATCH }, &ids).expect("it runs");
        }
    });
    let decode = best(2 * runs, || {
        for nth in 0..DECODE {
            device.run(0, Step { position: PREFILL + nth, tokens: 1 }, &[nth]).expect("it runs");
        }
    });
    let rate = |tokens: u32, ms: f64| f64::from(tokens) / ms * 1e3;
    println!(
        "{format} {} {} prefill {:.1} tok/s, {:.0} ms of processor; decode {:.2} tok/s, {:.1} ms of processor a token",
        word(1),
        device.name(),
        rate(PREFILL, prefill.0),
        prefill.1,
        rate(DECODE, decode.0),
        decode.1 / f64::from(DECODE),
    );
}
