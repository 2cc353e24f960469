//! The CPU device against the scalar twins and against float64, with every instruction set that this machine has.

#[path = "../../tests/src/blocks.rs"]
mod blocks;
#[path = "cpu/commands.rs"]
mod commands;
#[path = "cpu/int8.rs"]
mod int8;
#[path = "cpu/products.rs"]
mod products;
#[path = "cpu/refusals.rs"]
mod refusals;
#[path = "cpu/strips.rs"]
mod strips;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hearth_engine::{
    device::cpu::{Activations, CpuDevice, Serial, SimdLevel, Workers},
    kernel::Step,
    plan::{Command, Plan, Program, TensorKind},
    tensor::{Format, TensorId},
};
use proptest::prelude::*;

/// Threads for one call: slow, but real.
struct Threads(usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    loop {
                        let part = next.fetch_add(1, Ordering::Relaxed);
                        if part >= parts {
                            break;
                        }
                        work(part);
                    }
                });
            }
        });
    }
}

fn levels() -> impl Iterator<Item = SimdLevel> {
    SimdLevel::ALL.into_iter().filter(|level| level.is_available())
}

/// Programs of one command.
#[derive(Default)]
struct Bench {
    program: Program,
    states: Vec<(TensorId, Vec<f32>)>,
    weights: Vec<(TensorId, Vec<u8>)>,
    /// Whether products take activations of eight bits.
    int8: bool,
}

impl Bench {
    fn state(&mut self, values: &[f32]) -> TensorId {
        let id = self.program.declare("state", TensorKind::State, 1, values.len() as u64);
        self.states.push((id, values.to_vec()));
        id
    }

    fn weight(&mut self, format: Format, columns: u32, bytes: &[u8]) -> TensorId {
        let rows = bytes.len() as u64 / format.row_bytes(columns.into()).unwrap();
        let id = self.program.declare("weight", TensorKind::Weight(format), rows, columns.into());
        self.weights.push((id, bytes.to_vec()));
        id
    }

    fn tokens(&mut self, count: u32) -> TensorId {
        self.program.declare("ids", TensorKind::Tokens, 1, count.into())
    }

    /// What the command leaves in `out`.
    fn run(
        &self,
        level: SimdLevel,
        workers: Arc<dyn Workers>,
        step: Step,
        command: &Command,
        out: TensorId,
    ) -> Vec<f32> {
        let ids: Vec<u32> = (0..step.tokens).collect();
        self.run_with(level, workers, step, command, out, &ids)
    }

    fn run_with(
        &self,
        level: SimdLevel,
        workers: Arc<dyn Workers>,
        step: Step,
        command: &Command,
        out: TensorId,
        ids: &[u32],
    ) -> Vec<f32> {
        let mut program = self.program.clone();
        program.plans.push(Plan { name: "test".into(), tokens_max: step.tokens, commands: vec![command.clone()] });
        let activations = if self.int8 { Activations::Int8 } else { Activations::F32 };
        let mut device = CpuDevice::with(workers, level, activations);
        device.prepare(&program).unwrap();
        for (id, values) in &self.states {
            device.write(*id, 0, values).unwrap();
        }
        for (id, bytes) in &self.weights {
            device.upload(*id, 0..program.tensor(*id).rows, bytes).unwrap();
        }
        device.run(0, step, ids).unwrap();
        device.read(out, 0..program.tensor(out).elements()).unwrap()
    }

    /// With every instruction set and one, two and seven workers, whose number must not change a bit.
    fn run_everywhere(&self, step: Step, command: &Command, out: TensorId) -> Vec<(SimdLevel, Vec<f32>)> {
        levels()
            .map(|level| {
                let alone = self.run(level, Arc::new(Serial), step, command, out);
                for count in [2, 7] {
                    let together = self.run(level, Arc::new(Threads(count)), step, command, out);
                    let same = together.iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{}: {count} workers change the result of {command:?}", level.name());
                }
                (level, alone)
            })
            .collect()
    }
}

/// The tolerance: what rounding in F32 can do to a sum whose terms have this sum of magnitudes.
const TOLERANCE: f64 = 1e-5;

/// Whether `got` is right to [`TOLERANCE`] of the magnitude that was summed up for it.
fn assert_close(what: &str, got: &[f32], expected: &[f64], magnitudes: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (index, ((got, expected), magnitude)) in got.iter().zip(expected).zip(magnitudes).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        assert!(
            error <= TOLERANCE * magnitude + 1e-30,
            "{what}: element {index} is {got}, should be {expected}: off by {error} of {magnitude}"
        );
    }
}

/// Numbers of every sign, around `10^exponent`, always the same for a seed.
fn numbers(seed: u64, count: usize, exponent: i32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let scale = 10f64.powi(exponent);
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (((state >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0) * scale) as f32
        })
        .collect()
}

/// Rows in a format, of numbers around `10^exponent`.
fn rows(format: Format, seed: u64, count: usize, exponent: i32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95) | 1;
    blocks::rows(format, &numbers(seed, count, exponent), 10f32.powi(exponent), || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    })
}

fn any_format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}
