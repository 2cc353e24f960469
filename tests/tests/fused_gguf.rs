//! GGUFs that say the same in another way: query, key and value in one tensor, gate and up of all experts in one, biases
//! with them, and a head with a bias. The logits must be those that transformers computed for the files as they were.

use hearth_engine::{
    Error,
    file::GgufTensor,
    model::{Model, ModelConfig},
    tensor::Format,
};
use hearth_tests::{
    devices::Candidate,
    files::{Golden, golden},
    gguf::Gguf,
    numbers::kl_divergence,
    sessions::load,
};

/// Nats a position, as in `architectures.rs`.
const DIVERGENCE_CPU: f64 = 1e-5;
const DIVERGENCE_GPU: f64 = 1e-4;
/// What the models are loaded with: the original context of those with one.
const CONTEXT: u32 = 32;

/// The first tensors' rows above the second's, and so on; of tensors with three sides, within each outermost one.
fn stack(name: String, parts: &[GgufTensor]) -> GgufTensor {
    let first = &parts[0];
    let outer = if first.shape.len() == 3 { first.shape[0] as usize } else { 1 };
    let side = first.shape.len().saturating_sub(2);
    let mut shape = first.shape.clone();
    shape[side] = parts.iter().map(|part| part.shape[side]).sum();
    let bytes = (0..outer)
        .flat_map(|at| {
            parts.iter().flat_map(move |part| {
                let bytes = part.bytes.len() / outer;
                part.bytes[at * bytes..(at + 1) * bytes].iter().copied()
            })
        })
        .collect();
    GgufTensor { name, shape, format: first.format, bytes }
}

fn fuse(file: &mut Gguf, whole: &str, parts: &[&str], layer: u32) {
    for ending in ["weight", "bias"] {
        let name = |part: &str| format!("blk.{layer}.{part}.{ending}");
        if file.tensors.iter().any(|tensor| tensor.name == name(parts[0])) {
            let parts: Vec<GgufTensor> = parts.iter().map(|part| file.take(&name(part))).collect();
            file.tensors.push(stack(name(whole), &parts));
        }
    }
}

fn layers(file: &Gguf) -> u32 {
    let of_first = |tensor: &&GgufTensor| tensor.name.ends_with(".attn_output.weight");
    file.tensors.iter().filter(of_first).count() as u32
}

fn assert_same(what: &str, file: &Gguf, goldens: &[Golden]) {
    let opened = file.open();
    for candidate in Candidate::one_each() {
        let mut session = load(&candidate, &opened, CONTEXT).unwrap_or_else(|error| panic!("{what}: {error}"));
        for golden in goldens.iter().filter(|golden| golden.ids.len() <= CONTEXT as usize) {
            let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
            let divergence_max = if candidate.is_gpu() { DIVERGENCE_GPU } else { DIVERGENCE_CPU };
            for (position, reference) in golden.rows() {
                let nats = kl_divergence(reference, &found[position * reference.len()..][..reference.len()]);
                assert!(nats.abs() <= divergence_max, "{what}, {candidate}, {} at {position}: {nats:e}", golden.name);
            }
        }
    }
}

#[test]
fn query_key_and_value_may_lie_in_one_tensor_whatever_the_architecture() {
    // Biases and neighbours turned by rope, biases alone, norms of heads, and a norm of the whole width.
    for name in ["llama3", "qwen2", "qwen3", "olmo2"] {
        let mut file = Gguf::of(name);
        for layer in 0..layers(&file) {
            fuse(&mut file, "attn_qkv", &["attn_q", "attn_k", "attn_v"], layer);
        }
        assert_same(name, &file, &golden(&format!("{name}-gguf")));
    }
}

#[test]
fn one_layer_may_be_fused_and_the_next_not() {
    let mut file = Gguf::of("qwen2");
    fuse(&mut file, "attn_qkv", &["attn_q", "attn_k", "attn_v"], 1);
    assert_same("one layer", &file, &golden("qwen2-gguf"));
}

#[test]
fn phi_may_come_in_parts() {
    let mut file = Gguf::of("phi3");
    let [heads, kv_heads, head_dim, width] = [4, 2, 8, 36];
    for layer in 0..layers(&file) {
        let mut split = |whole: &str, parts: &[(&str, usize)]| {
            let whole = file.take(&format!("blk.{layer}.{whole}.weight"));
            let row_bytes = whole.bytes.len() / whole.shape[0] as usize;
            let mut at = 0;
            for (part, rows) in parts {
                file.tensors.push(GgufTensor {
                    name: format!("blk.{layer}.{part}.weight"),
                    shape: vec![*rows as u64, whole.shape[1]],
                    format: whole.format,
                    bytes: whole.bytes[at * row_bytes..(at + rows) * row_bytes].to_vec(),
                });
                at += rows;
            }
            assert_eq!(at as u64, whole.shape[0]);
        };
        let kv_width = kv_heads * head_dim;
        split("attn_qkv", &[("attn_q", heads * head_dim), ("attn_k", kv_width), ("attn_v", kv_width)]);
        split("ffn_up", &[("ffn_gate", width), ("ffn_up", width)]);
    }
    assert_same("phi3", &file, &golden("phi3-gguf"));
}

#[test]
fn gate_and_up_of_experts_may_lie_in_one_tensor() {
    for name in ["qwen3_moe", "olmoe"] {
        let mut file = Gguf::of(name);
        for layer in 0..layers(&file) {
            fuse(&mut file, "ffn_gate_up_exps", &["ffn_gate_exps", "ffn_up_exps"], layer);
        }
        assert_same(name, &file, &golden(&format!("{name}-gguf")));
    }
}

#[test]
fn a_bias_of_the_head_is_added_to_the_logits() {
    let mut goldens = golden("qwen2-gguf");
    let vocab = goldens[0].logits.len() / goldens[0].positions.len();
    let bias: Vec<f32> = (0..vocab).map(|token| (token as f32 * 0.7).sin() * 3.0).collect();
    for golden in &mut goldens {
        golden.logits.iter_mut().enumerate().for_each(|(at, logit)| *logit += bias[at % vocab]);
    }
    let bytes = bias.iter().flat_map(|number| number.to_le_bytes()).collect();
    let tensor = GgufTensor { name: "output.bias".into(), shape: vec![vocab as u64], format: Format::F32, bytes };
    let file = Gguf::of("qwen2").with_tensor(tensor);
    assert_same("output.bias", &file, &goldens);
    // The plans that choose a token use one row of logits only.
    let opened = file.open();
    for candidate in Candidate::one_each() {
        let mut session = load(&candidate, &opened, CONTEXT).unwrap();
        let tokenizer = hearth_engine::text::Tokenizer::from_documents(&opened.documents).unwrap();
        for golden in &goldens {
            let (position, reference) = golden.rows().last().unwrap();
            let answer = hearth_tests::sessions::greedy(&mut session, &tokenizer, &golden.ids[..=position], 1).unwrap();
            let likeliest = (0..vocab).max_by(|a, b| reference[*a].total_cmp(&reference[*b])).unwrap();
            assert_eq!(answer.ids, [likeliest as u32], "{candidate}, {}", golden.name);
        }
    }
}

#[test]
fn a_fused_tensor_of_another_size_is_refused_with_both() {
    let mut file = Gguf::of("qwen3");
    fuse(&mut file, "attn_qkv", &["attn_q", "attn_k"], 0);
    let opened = file.open();
    let found = Model::record(ModelConfig::read(&opened.documents).unwrap(), &opened.catalog, 16, false);
    match found {
        Err(Error::WrongShape { tensor, expected, found }) => {
            assert_eq!((tensor.as_str(), expected, found), ("blk.0.attn_qkv.weight", vec![64, 32], vec![48, 32]));
        }
        other => panic!("{other:?}"),
    }
}
