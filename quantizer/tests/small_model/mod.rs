//! A model of random weights, and a folder in memory for what becomes of it.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use hearth_engine::{
    Result,
    decode::{Session, SessionOptions},
    device::{CpuDevice, Device, Serial, SimdLevel, Workers},
    file::{MemoryFolder, OpenedModel, open_model},
    quant::trellis::{Code, Codebook},
    tensor::KvFormat,
};
use hearth_quantizer::{Host, Options, Progress, Recipe, random::Random};
use safetensors::{Dtype, tensor::TensorView};

const CONFIG: &str = r#"{"model_type": "qwen2", "vocab_size": 48, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": TIED}"#;

/// A model of random weights, with biases, norms that are not 1 and a few columns that stand out.
pub fn opened(is_tied: bool) -> OpenedModel {
    let biases: [(&str, &[usize]); 3] =
        [("self_attn.q_proj.bias", &[64]), ("self_attn.k_proj.bias", &[32]), ("self_attn.v_proj.bias", &[32])];
    opened_as(&CONFIG.replace("TIED", &is_tied.to_string()), is_tied, &biases)
}

/// A model with norms of queries and keys.
pub fn qwen3() -> OpenedModel {
    let config = CONFIG.replace("TIED", "false").replace("qwen2", "qwen3");
    opened_as(&config, false, &[("self_attn.q_norm.weight", &[16]), ("self_attn.k_norm.weight", &[16])])
}

/// A model with norms on both sides of a branch, a window, caps, gelu and scaled embeddings.
pub fn gemma2() -> OpenedModel {
    let more = r#""model_type": "gemma2", "query_pre_attn_scalar": 12, "sliding_window": 8,
        "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0, "hidden_activation": "gelu_pytorch_tanh""#;
    let config = CONFIG.replace("TIED", "true").replace(r#""model_type": "qwen2""#, more);
    let norms: [(&str, &[usize]); 2] =
        [("pre_feedforward_layernorm.weight", &[64]), ("post_feedforward_layernorm.weight", &[64])];
    opened_as(&config.replace(r#""hidden_act": "silu","#, ""), true, &norms)
}

/// A model with experts in place of its feed-forward layers.
pub fn experts() -> OpenedModel {
    let more = r#""model_type": "qwen3_moe", "num_experts": 2, "num_experts_per_tok": 1,
        "moe_intermediate_size": 32, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": []"#;
    let config = CONFIG.replace("TIED", "false").replace(r#""model_type": "qwen2""#, more);
    let tensors: [(&str, &[usize]); 9] = [
        ("self_attn.q_norm.weight", &[16]),
        ("self_attn.k_norm.weight", &[16]),
        ("mlp.gate.weight", &[2, 64]),
        ("mlp.experts.0.gate_proj.weight", &[32, 64]),
        ("mlp.experts.0.up_proj.weight", &[32, 64]),
        ("mlp.experts.0.down_proj.weight", &[64, 32]),
        ("mlp.experts.1.gate_proj.weight", &[32, 64]),
        ("mlp.experts.1.up_proj.weight", &[32, 64]),
        ("mlp.experts.1.down_proj.weight", &[64, 32]),
    ];
    opened_as(&config, false, &tensors)
}

/// A model of such tensors besides those that all have.
fn opened_as(config: &str, is_tied: bool, more: &[(&str, &[usize])]) -> OpenedModel {
    let mut random = Random::new(9);
    let mut tensors: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![48, 64])];
    for layer in 0..2 {
        let shapes: [(&str, &[usize]); 9] = [
            ("input_layernorm.weight", &[64]),
            ("self_attn.q_proj.weight", &[64, 64]),
            ("self_attn.k_proj.weight", &[32, 64]),
            ("self_attn.v_proj.weight", &[32, 64]),
            ("self_attn.o_proj.weight", &[64, 64]),
            ("post_attention_layernorm.weight", &[64]),
            ("mlp.gate_proj.weight", &[96, 64]),
            ("mlp.up_proj.weight", &[96, 64]),
            ("mlp.down_proj.weight", &[64, 96]),
        ];
        let has_experts = more.iter().any(|(name, _)| name.contains("experts"));
        let own = shapes.into_iter().filter(|(name, _)| !has_experts || !name.starts_with("mlp."));
        let named = own.chain(more.iter().copied());
        tensors.extend(named.map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape.to_vec())));
    }
    tensors.push(("model.norm.weight".into(), vec![64]));
    if !is_tied {
        tensors.push(("lm_head.weight".into(), vec![48, 64]));
    }
    let values: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(name, shape)| {
            let columns = shape[shape.len() - 1];
            let value = |at: usize| match name.contains("norm") {
                true => 1.0 + 0.3 * random.normal() as f32,
                false if at % columns == 5 => random.normal() as f32,
                false => 0.2 * random.normal() as f32,
            };
            (0..shape.iter().product()).map(value).flat_map(f32::to_le_bytes).collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&values)
        .map(|((name, shape), values)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), values).unwrap()));
    let folder = MemoryFolder::new("a small model")
        .with("config.json", config)
        .with("tokenizer.json", "{}")
        .with("model.safetensors", safetensors::serialize(views, None).unwrap());
    pollster::block_on(open_model(&folder, None)).unwrap()
}

/// Texts of random tokens.
pub fn texts() -> Vec<Vec<u32>> {
    let mut random = Random::new(4);
    (0..6).map(|_| (0..32).map(|_| (random.bits() % 48) as u32).collect()).collect()
}

pub fn options(bits: u32) -> Options {
    let mut options = Options::new(Recipe::of_bits(bits).unwrap());
    options.code = Code::new(Codebook::Sum7, 12).unwrap();
    options.seed = 3;
    options
}

/// A folder in memory, whose owner loses patience after so many files.
pub struct MemoryHost {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub patience: AtomicUsize,
    pub seen: Mutex<Vec<Progress>>,
}

impl MemoryHost {
    pub fn new(patience: usize) -> Self {
        Self { files: Mutex::default(), patience: AtomicUsize::new(patience), seen: Mutex::default() }
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.lock().unwrap().clone()
    }
}

impl Host for MemoryHost {
    fn workers(&self) -> &dyn Workers {
        &Serial
    }

    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(name).cloned())
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.files.lock().unwrap().insert(name.to_owned(), bytes.to_vec());
        let _ = self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        Ok(())
    }

    fn forget(&self, name: &str) -> Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }

    fn progress(&self, progress: &Progress) {
        self.seen.lock().unwrap().push(progress.clone());
    }

    fn is_cancelled(&self) -> bool {
        self.patience.load(Ordering::Relaxed) == 0
    }
}

/// The model that a run wrote.
pub fn written(host: &MemoryHost) -> OpenedModel {
    let files = host.files().into_iter();
    let folder =
        files.fold(MemoryFolder::new("its quantised model"), |folder, (name, bytes)| folder.with(&name, bytes));
    pollster::block_on(open_model(&folder, None)).unwrap()
}

/// What the engine makes of a text with a model.
pub fn logits(opened: &OpenedModel, text: &[u32]) -> Vec<f32> {
    let options = SessionOptions { context_tokens: 32, scoring: true, kv_cache: KvFormat::F32 };
    let mut session = pollster::block_on(Session::load(device(), opened, options, &mut |_| Ok(()))).unwrap();
    pollster::block_on(session.logits(text)).unwrap()
}

/// Root of the mean square of a difference, as a part of what it is a difference of.
pub fn apart(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let difference = square(&mut expected.iter().zip(found).map(|(expected, found)| expected - found));
    (difference / square(&mut expected.iter().copied())).sqrt()
}

/// Plain Rust on one thread.
pub fn device() -> Device {
    Device::Cpu(CpuDevice::with_simd(Arc::new(Serial), SimdLevel::Scalar))
}
