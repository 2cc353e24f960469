//! Whole models with activations of eight bits, which is how a CPU computes unless it is asked for more: against the
//! logits that transformers computed in float32 from the same weights.

use std::sync::Arc;

use hearth_engine::device::{
    CpuDevice, Device, Serial,
    cpu::{Activations, SimdLevel},
};
use hearth_tests::{
    files::golden,
    numbers::kl_divergence,
    sessions::{load_on, open},
};

/// Nats a position, at most and on average: two times and more what was found. These models' random weights make large
/// logits, in which the rounding of activations shows ten times as much as in the bundled model's, which was trained: see
/// `docs/decisions/0008-eight-bit-activations.md`.
const DIVERGENCE_MAX: f64 = 0.3;
const DIVERGENCE_MEAN: f64 = 0.015;

#[test]
fn logits_stay_close_to_those_with_exact_activations() {
    for format in ["q8_0", "q4_0"] {
        let opened = open(&format!("tests/fixtures/tiny-llama-{format}.gguf"));
        for level in SimdLevel::ALL.into_iter().filter(|level| level.is_available()) {
            let device = Device::Cpu(CpuDevice::with(Arc::new(Serial), level, Activations::Int8));
            let mut session = load_on(device, &opened, 192).unwrap();
            let mut divergences = Vec::new();
            for golden in golden(&format!("tiny-llama-{format}")) {
                let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
                let vocab = found.len() / golden.ids.len();
                for (position, reference) in golden.rows() {
                    divergences.push(kl_divergence(reference, &found[position * vocab..][..vocab]));
                }
            }
            let most = divergences.iter().copied().fold(0.0, f64::max);
            let mean = divergences.iter().sum::<f64>() / divergences.len() as f64;
            let what = format!("{format}, {}: at most {most:e}, on average {mean:e} nats", level.name());
            assert!(most <= DIVERGENCE_MAX && mean <= DIVERGENCE_MEAN, "{what}");
            // If nothing at all differed, the activations were not rounded and this test would show nothing.
            assert!(most > 1e-9, "{what}");
        }
    }
}
