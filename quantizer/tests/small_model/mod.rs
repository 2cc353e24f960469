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
    device::{CpuDevice, Device, Serial, SimdLevel, Workers},
    file::{MemoryFolder, OpenedModel, open_model},
    quant::trellis::{Code, Codebook},
};
use hearth_quantizer::{Host, Options, Progress, Recipe, random::Random};
use safetensors::{Dtype, tensor::TensorView};

const CONFIG: &str = r#"{"model_type": "qwen2", "vocab_size": 48, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": TIED}"#;

/// A model of random weights, with biases, norms that are not 1 and a few columns that stand out.
pub fn opened(is_tied: bool) -> OpenedModel {
    let mut random = Random::new(9);
    let mut tensors: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![48, 64])];
    for layer in 0..2 {
        let shapes: [(&str, &[usize]); 12] = [
            ("input_layernorm.weight", &[64]),
            ("self_attn.q_proj.weight", &[64, 64]),
            ("self_attn.k_proj.weight", &[32, 64]),
            ("self_attn.v_proj.weight", &[32, 64]),
            ("self_attn.q_proj.bias", &[64]),
            ("self_attn.k_proj.bias", &[32]),
            ("self_attn.v_proj.bias", &[32]),
            ("self_attn.o_proj.weight", &[64, 64]),
            ("post_attention_layernorm.weight", &[64]),
            ("mlp.gate_proj.weight", &[96, 64]),
            ("mlp.up_proj.weight", &[96, 64]),
            ("mlp.down_proj.weight", &[64, 96]),
        ];
        tensors.extend(shapes.map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape.to_vec())));
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
        .with("config.json", CONFIG.replace("TIED", &is_tied.to_string()))
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

/// Plain Rust on one thread.
pub fn device() -> Device {
    Device::Cpu(CpuDevice::with_simd(Arc::new(Serial), SimdLevel::Scalar))
}
