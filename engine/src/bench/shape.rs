//! Sizes of known models, taken from the `config.json` that each was published with, and a model of that shape without
//! any file.

use std::rc::Rc;

use serde_json::json;

use super::weights::{Ones, RandomWeights};
use crate::{
    Error, Result,
    file::{ByteSource, Catalog, Documents, EmbeddingDocuments, OpenedModel, TensorInfo},
    model::{Naming, Norms, Role},
    protocol::BenchShape,
    tensor::Format,
};

/// What a `config.json` says of a model's size.
struct Sizes {
    model_type: &'static str,
    layers: u32,
    hidden: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    feed_forward: u32,
    vocab_size: u32,
    context_tokens: u32,
    is_tied: bool,
    has_qk_norm: bool,
    rope_theta: f64,
    /// Of the rope that Llama 3.1 brought; none for a plain one.
    rope_factor: Option<f64>,
    norm_epsilon: f64,
}

/// Of no model: two layers of a Llama, as narrow as blocks of 256 allow.
const TINY: Sizes = Sizes {
    model_type: "llama",
    layers: 2,
    hidden: 256,
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    feed_forward: 512,
    vocab_size: 512,
    context_tokens: 1024,
    is_tied: true,
    has_qk_norm: false,
    rope_theta: 10_000.0,
    rope_factor: None,
    norm_epsilon: 1e-5,
};

/// meta-llama/Llama-3.2-1B.
const LLAMA_1B: Sizes = Sizes {
    model_type: "llama",
    layers: 16,
    hidden: 2048,
    heads: 32,
    kv_heads: 8,
    head_dim: 64,
    feed_forward: 8192,
    vocab_size: 128_256,
    context_tokens: 131_072,
    is_tied: true,
    has_qk_norm: false,
    rope_theta: 500_000.0,
    rope_factor: Some(32.0),
    norm_epsilon: 1e-5,
};

/// meta-llama/Llama-2-7b-hf.
const LLAMA_2_7B: Sizes = Sizes {
    model_type: "llama",
    layers: 32,
    hidden: 4096,
    heads: 32,
    kv_heads: 32,
    head_dim: 128,
    feed_forward: 11_008,
    vocab_size: 32_000,
    context_tokens: 4096,
    is_tied: false,
    has_qk_norm: false,
    rope_theta: 10_000.0,
    rope_factor: None,
    norm_epsilon: 1e-5,
};

/// meta-llama/Llama-3.1-8B.
const LLAMA_8B: Sizes = Sizes {
    model_type: "llama",
    layers: 32,
    hidden: 4096,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    feed_forward: 14_336,
    vocab_size: 128_256,
    context_tokens: 131_072,
    is_tied: false,
    has_qk_norm: false,
    rope_theta: 500_000.0,
    rope_factor: Some(8.0),
    norm_epsilon: 1e-5,
};

/// Qwen/Qwen3-0.6B.
const QWEN3_0_6B: Sizes = Sizes {
    model_type: "qwen3",
    layers: 28,
    hidden: 1024,
    heads: 16,
    kv_heads: 8,
    head_dim: 128,
    feed_forward: 3072,
    vocab_size: 151_936,
    context_tokens: 40_960,
    is_tied: true,
    has_qk_norm: true,
    rope_theta: 1_000_000.0,
    rope_factor: None,
    norm_epsilon: 1e-6,
};

impl Sizes {
    const fn of(shape: BenchShape) -> &'static Self {
        match shape {
            BenchShape::Tiny => &TINY,
            BenchShape::Llama1b => &LLAMA_1B,
            BenchShape::Llama2_7b => &LLAMA_2_7B,
            BenchShape::Llama8b => &LLAMA_8B,
            BenchShape::Qwen3_0_6b => &QWEN3_0_6B,
        }
    }

    /// As transformers would write it.
    fn config(&self) -> String {
        let rope = match self.rope_factor {
            Some(factor) => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            }),
            None => serde_json::Value::Null,
        };
        json!({
            "model_type": self.model_type,
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.feed_forward,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.context_tokens,
            "tie_word_embeddings": self.is_tied,
            "rope_theta": self.rope_theta,
            "rope_scaling": rope,
            "rms_norm_eps": self.norm_epsilon,
            "hidden_act": "silu",
        })
        .to_string()
    }

    /// The matrices of one layer: what for, rows, columns.
    fn layer_matrices(&self) -> [(Role, u32, u32); 7] {
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        [
            (Role::Query, queries, self.hidden),
            (Role::Key, keys, self.hidden),
            (Role::Value, keys, self.hidden),
            (Role::AttentionOutput, self.hidden, queries),
            (Role::Gate, self.feed_forward, self.hidden),
            (Role::Up, self.feed_forward, self.hidden),
            (Role::Down, self.hidden, self.feed_forward),
        ]
    }

    /// The vectors of one layer: what for, length.
    fn layer_vectors(&self) -> Vec<(Role, u32)> {
        let mut vectors = vec![(Role::AttentionNorm, self.hidden), (Role::FeedForwardNorm, self.hidden)];
        if self.has_qk_norm {
            vectors.extend([(Role::QueryNorm, self.head_dim), (Role::KeyNorm, self.head_dim)]);
        }
        vectors
    }
}

/// What people call it.
pub fn shape_name(shape: BenchShape) -> &'static str {
    match shape {
        BenchShape::Tiny => "tiny",
        BenchShape::Llama1b => "llama-1b",
        BenchShape::Llama2_7b => "llama-2-7b",
        BenchShape::Llama8b => "llama-8b",
        BenchShape::Qwen3_0_6b => "qwen3-0.6b",
    }
}

/// A model of that shape. Its matrices are random, its norms ones; none of them exists before it is read.
pub fn open_shape(shape: BenchShape, format: Format, seed: u32) -> Result<OpenedModel> {
    let sizes = Sizes::of(shape);
    let mut tensors = Tensors { catalog: Catalog::default(), format, ends: [0; 2], strips: Vec::new() };
    let table = [sizes.vocab_size, sizes.hidden];
    tensors.matrix(Role::Embedding, 0, table)?;
    if !sizes.is_tied {
        tensors.matrix(Role::Head, 0, table)?;
    }
    tensors.vector(Role::FinalNorm, 0, sizes.hidden);
    for layer in 0..sizes.layers {
        for (role, rows, columns) in sizes.layer_matrices() {
            tensors.matrix(role, layer, [rows, columns])?;
        }
        for (role, length) in sizes.layer_vectors() {
            tensors.vector(role, layer, length);
        }
    }
    let Tensors { mut catalog, ends: [matrices_bytes, vectors_bytes], strips, .. } = tensors;
    let random: Rc<dyn ByteSource> = Rc::new(RandomWeights::new(format, seed, matrices_bytes).with_strips(strips));
    catalog.sources = vec![random, Rc::new(Ones::new(vectors_bytes))];
    let documents = Documents::HuggingFace {
        config: sizes.config(),
        tokenizer: None,
        tokenizer_model: None,
        tokenizer_config: None,
        generation_config: None,
        special_tokens_map: None,
        chat_template: None,
        more_templates: Vec::new(),
    };
    Ok(OpenedModel { catalog, documents, embedding: EmbeddingDocuments::default() })
}

/// A catalog on its way: matrices lie in one source, vectors in another, each one behind the other.
struct Tensors {
    catalog: Catalog,
    format: Format,
    /// Where the sources end so far.
    ends: [u64; 2],
    /// Of formats that store strips: where each matrix begins, and the bytes of its strips.
    strips: Vec<(u64, u64)>,
}

impl Tensors {
    fn matrix(&mut self, role: Role, layer: u32, shape: [u32; 2]) -> Result<()> {
        let [rows, columns] = shape.map(u64::from);
        let bytes = self.format.rows_bytes(rows, columns);
        let bytes = bytes.ok_or_else(|| {
            let (format, block) = (self.format, self.format.block_elements());
            Error::invalid("format", format!("{format} has blocks of {block}, which do not divide {columns} columns"))
        })?;
        if self.format.strip_rows() > 1 {
            self.strips.push((self.ends[0], bytes / rows.div_ceil(self.format.strip_rows())));
        }
        self.add(role, layer, vec![rows, columns], self.format, bytes);
        Ok(())
    }

    fn vector(&mut self, role: Role, layer: u32, length: u32) {
        self.add(role, layer, vec![length.into()], Format::F32, u64::from(length) * 4);
    }

    fn add(&mut self, role: Role, layer: u32, shape: Vec<u64>, format: Format, len_bytes: u64) {
        let source = usize::from(shape.len() == 1);
        let name = Naming::HuggingFace.weight(role, Norms::Pre, layer);
        let offset_bytes = self.ends[source];
        self.ends[source] += len_bytes;
        let info = TensorInfo { name: name.clone(), shape, format, source, offset_bytes, len_bytes };
        self.catalog.tensors.insert(name, info);
    }
}
