//! Whole models whose batches are computed in each kernel that there is for them, against logits that transformers
//! computed in float32: what products of F16 cost must stay within what any GPU may be off by.

#![allow(clippy::print_stdout, reason = "how far from the bound it stays is worth knowing")]

use hearth_engine::device::{AttentionKind, CoopTile, Device, GpuDevice, GpuOptions, MatmulKind};
use hearth_tests::{
    devices::adapters,
    files::golden,
    numbers::kl_divergence,
    sessions::{load_on, open},
};

/// Tokens: as many as the longest golden prompt has, and a few more.
const CONTEXT: u32 = 512;
/// Nats a position.
const DIVERGENCE: f64 = 1e-4;
/// The same where F16 is forced upon a model of random weights, which is so narrow that it would not be used: sums of a
/// few numbers show what rounds them, and nothing that was learnt keeps the likeliest tokens apart.
const DIVERGENCE_FORCED: f64 = 2e-3;

/// Which of the models was trained.
const TRAINED: &str = "hearth-tiny";

/// A file, and which golden logits are its.
const MODELS: &[(&str, &str)] = &[
    ("tests/fixtures/tiny-llama", "tiny-llama"),
    ("tests/fixtures/tiny-llama-f16.gguf", "tiny-llama"),
    ("tests/fixtures/tiny-llama-q8_0.gguf", "tiny-llama-q8_0"),
    ("tests/fixtures/tiny-llama-q4_0.gguf", "tiny-llama-q4_0"),
    ("tests/fixtures/tiny-odd", "tiny-odd"),
    ("models/hearth-tiny", "hearth-tiny"),
];

/// Ways to compute, and whether they are forced upon any model.
fn ways(adapter: usize) -> Vec<(&'static str, GpuOptions, bool)> {
    let base = GpuOptions { adapter: Some(adapter), ..GpuOptions::default() };
    let way = |matmul, attention| GpuOptions { matmul: Some(matmul), attention: Some(attention), ..base.clone() };
    let device = pollster::block_on(GpuDevice::open(&base)).expect("it was found before");
    if !device.is_cooperative() {
        return vec![("large tiles", way(MatmulKind::Tiled { side: 16 }, AttentionKind::Tiled), false)];
    }
    let halves = |tile| way(MatmulKind::Cooperative(tile), AttentionKind::Cooperative);
    vec![
        ("as it comes", base.clone(), false),
        ("large tiles", way(MatmulKind::Tiled { side: 16 }, AttentionKind::Tiled), false),
        ("large matrices", halves(CoopTile::LARGE), true),
        ("medium matrices", halves(CoopTile::MEDIUM), true),
        ("products alone", way(MatmulKind::Cooperative(CoopTile::SMALL), AttentionKind::Plain), true),
        ("attention alone", way(MatmulKind::Plain, AttentionKind::Cooperative), true),
    ]
}

#[test]
fn logits_agree_whatever_computes_a_batch() {
    let mut complaints = Vec::new();
    for (adapter, report) in adapters().iter().enumerate() {
        for (way, options, is_forced) in ways(adapter) {
            for (path, name) in MODELS {
                let (mut worst, mut at) = (0.0_f64, String::new());
                let opened = open(path);
                let device = pollster::block_on(GpuDevice::open(&options)).expect("it was found before");
                let mut session = load_on(Device::Gpu(device), &opened, CONTEXT).unwrap();
                for golden in golden(name) {
                    let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
                    let vocab = found.len() / golden.ids.len();
                    for (position, reference) in golden.rows() {
                        let divergence = kl_divergence(reference, &found[position * vocab..][..vocab]);
                        if divergence > worst || divergence.is_nan() {
                            (worst, at) = (divergence, format!("{} at {position}", golden.name));
                        }
                    }
                }
                let what = format!("{path}, {}, {way}, {at}: {worst:e} nats", report.name);
                println!("{what}");
                let is_random = *name != TRAINED;
                let most = if is_forced && is_random { DIVERGENCE_FORCED } else { DIVERGENCE };
                complaints.extend((worst.is_nan() || worst > most).then_some(what));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
