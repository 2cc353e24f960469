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
const CONTEXT: u32 = 256;
/// Nats a position.
const DIVERGENCE: f64 = 1e-4;

/// A file, and which golden logits are its.
const MODELS: &[(&str, &str)] = &[
    ("tests/fixtures/tiny-llama", "tiny-llama"),
    ("tests/fixtures/tiny-llama-f16.gguf", "tiny-llama"),
    ("tests/fixtures/tiny-llama-q8_0.gguf", "tiny-llama-q8_0"),
    ("tests/fixtures/tiny-llama-q4_0.gguf", "tiny-llama-q4_0"),
    ("tests/fixtures/tiny-odd", "tiny-odd"),
    ("models/hearth-tiny", "hearth-tiny"),
];

fn ways(adapter: usize) -> Vec<(&'static str, GpuOptions)> {
    let base = GpuOptions { adapter: Some(adapter), ..GpuOptions::default() };
    let way = |matmul, attention| GpuOptions { matmul: Some(matmul), attention: Some(attention), ..base.clone() };
    let device = pollster::block_on(GpuDevice::open(&base)).expect("it was found before");
    if !device.is_cooperative() {
        return vec![("large tiles", way(MatmulKind::Tiled { side: 16 }, AttentionKind::Tiled))];
    }
    let halves = |tile| way(MatmulKind::Cooperative(tile), AttentionKind::Cooperative);
    vec![
        ("as it comes", base.clone()),
        ("large matrices", halves(CoopTile::LARGE)),
        ("medium matrices", halves(CoopTile::MEDIUM)),
        ("products alone", way(MatmulKind::Cooperative(CoopTile::SMALL), AttentionKind::Plain)),
        ("attention alone", way(MatmulKind::Plain, AttentionKind::Cooperative)),
    ]
}

#[test]
fn logits_agree_whatever_computes_a_batch() {
    for (adapter, report) in adapters().iter().enumerate() {
        for (way, options) in ways(adapter) {
            let mut worst = 0.0_f64;
            for (path, name) in MODELS {
                let opened = open(path);
                let device = pollster::block_on(GpuDevice::open(&options)).expect("it was found before");
                let mut session = load_on(Device::Gpu(device), &opened, CONTEXT).unwrap();
                for golden in golden(name) {
                    let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
                    let vocab = found.len() / golden.ids.len();
                    for (position, reference) in golden.rows() {
                        let divergence = kl_divergence(reference, &found[position * vocab..][..vocab]);
                        let what = format!("{path}, {}, {way}, {} at {position}", report.name, golden.name);
                        assert!(divergence <= DIVERGENCE, "{what}: {divergence:e} nats");
                        worst = worst.max(divergence);
                    }
                }
            }
            println!("{}, {way}: at most {worst:e} nats", report.name);
        }
    }
}
