//! How long the parts of the work take on matrices of Llama 3.2 1B's shape, and what they come to for all of it:
//! `cargo run --release -p hearth-quantizer --example matrix -- [threads] [bits] [window bits]`.
#![allow(clippy::print_stdout, reason = "a measurement is for reading")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use hearth_engine::{
    device::Workers,
    quant::trellis::{Code, Codebook},
};
use hearth_quantizer::{
    linear::{Feedback, Hessian, Rounding, quantize},
    random::Random,
    trellis::Trellis,
};

/// Threads for one piece of work at a time.
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
                    while let Some(part) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|part| *part < parts) {
                        work(part);
                    }
                });
            }
        });
    }
}

/// Inputs, outputs in all that read them, and how many such there are in a layer.
const SHAPES: [(usize, usize, usize); 4] = [(2048, 3072, 1), (2048, 2048, 1), (2048, 16384, 1), (8192, 2048, 1)];
const LAYERS: f64 = 16.0;
/// Rows that are rounded for the measurement.
const ROWS: usize = 256;
const TOKENS: usize = 1024;

fn main() -> hearth_engine::Result<()> {
    let mut given = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let workers = Threads(given.next().unwrap_or(2) as usize);
    let (bits, window_bits) = (given.next().unwrap_or(2), given.next().unwrap_or(12));
    let trellis = Trellis::new(bits, Code::new(Codebook::default(), window_bits)?)?;
    let mut random = Random::new(1);
    let mut total = 0.0;
    println!("{} threads, {bits} bits, windows of {window_bits}; 16384 tokens to calibrate on", workers.0);
    for (columns, outputs, count) in SHAPES {
        let x: Vec<f32> = (0..TOKENS * columns).map(|_| random.normal() as f32).collect();
        let weights: Vec<f32> = (0..ROWS * columns).map(|_| 0.02 * random.normal() as f32).collect();
        let mut hessian = Hessian::new(columns);
        let started = Instant::now();
        hessian.add(&workers, &x);
        let moments_s = started.elapsed().as_secs_f64() * 16384.0 / TOKENS as f64;
        let started = Instant::now();
        let feedback = Feedback::new(&workers, &hessian, 0.01);
        let factor_s = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let (hessian, feedback) = (&hessian, &feedback);
        let rounding = Rounding {
            trellis: &trellis,
            hessian,
            feedback,
            encoder: None,
            tries_scales: false,
            is_cancelled: &|| false,
        };
        let found = quantize(&workers, &rounding, &weights);
        let rounding_s = started.elapsed().as_secs_f64() * outputs as f64 / ROWS as f64;
        let error = found.map_or(f64::NAN, |found| found.error);
        println!(
            "{columns:5} -> {outputs:5}: moments {moments_s:6.1} s, factors {factor_s:5.1} s, rounding {rounding_s:6.1} s, error {error:.4}"
        );
        total += count as f64 * (moments_s + factor_s + rounding_s);
    }
    println!("{LAYERS} layers: {:.1} min, and what running the model on the tokens takes", LAYERS * total / 60.0);
    Ok(())
}
