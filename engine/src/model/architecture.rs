//! What tells one architecture from another, as a table. The block is recorded once, from this data and from the
//! numbers of a model's configuration; nothing asks for an architecture by its name.

use crate::{Error, Result, kernel::Activation};

/// An architecture that the engine knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Architecture {
    /// For people.
    pub name: &'static str,
    /// `model_type` in config.json.
    pub hf_model_type: &'static str,
    /// `general.architecture` in a GGUF; `None` if such models are written as another one's.
    pub gguf_name: Option<&'static str>,
    /// Where the block's norms stand.
    pub norms: Norms,
    /// Whether a norm's weights are stored as what is added to 1. A GGUF always stores the sum.
    pub hf_norms_add_one: bool,
    /// What normalises queries and keys.
    pub qk_norm: QkNorm,
    /// Of the feed-forward layer's gate.
    pub activation: Activation,
    /// Which projections have biases. In a GGUF the tensors tell.
    pub biases: Biases,
    /// Whether query, key and value lie in one matrix, and gate and up in another. In a GGUF the tensors tell of the
    /// three.
    pub fused: bool,
    /// Whether embeddings are multiplied by the square root of their length.
    pub scaled_embedding: bool,
    /// Which layers see no further back than a window.
    pub windows: Windows,
    /// The caps of attention's scores and of the logits where the configuration names none; 0 for no cap.
    pub softcaps: [f32; 2],
    /// The base of the rope's frequencies where the configuration names none.
    pub rope_theta: f64,
    /// The same for layers with a window, where those have a rope of their own.
    pub rope_theta_local: Option<f64>,
    /// Every so many layers one has no rope, where the configuration does not list them.
    pub no_rope_every: Option<u32>,
    /// Whether the feed-forward layer is a mixture of experts.
    pub experts: bool,
    /// What a GGUF does not say about itself.
    pub gguf: GgufFacts,
}

/// What llama.cpp knows of an architecture without the file's telling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgufFacts {
    /// Whether the rows of the query and key matrices are stored so that the pairs which rope turns are neighbours.
    pub rope_interleaved: bool,
    /// A model of so many layers scales its scores by the root of hidden / heads instead of the head's length.
    pub scores_by_hidden_at_layers: Option<u32>,
    /// Which layers have the window that the file names. No key says whether a window is switched on, so the values
    /// that ask for a switch have no place here.
    pub windows: Windows,
    /// Whether layers with a window turn as before the rope was stretched, where they have no base of their own.
    pub windows_unscaled: bool,
    /// Whether the shares of the chosen experts add up to 1, where the file does not say so.
    pub renormalise: bool,
    /// Whether a file of a stretched context has factors for it among its tensors without naming that kind of stretch.
    pub long_factors: bool,
}

/// Where the norms of a block stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before attention and before the feed-forward layer.
    Pre,
    /// Behind them, before what they add to the stream.
    Post,
    /// Both.
    Sandwich,
}

/// What normalises queries and keys before they turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// Nothing.
    None,
    /// A norm of each head.
    Head,
    /// A norm of all heads at once.
    Width,
}

/// Which projections of attention have biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biases {
    /// All four if the configuration sets `attention_bias`, or none.
    Configured,
    /// Query, key and value.
    QueryKeyValue,
}

/// Which layers have a window, where `layer_types` does not list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// None, whatever the configuration says.
    Never,
    /// All, if `sliding_window` is set.
    All,
    /// All, if `use_sliding_window` is set too.
    Switched,
    /// Those from `max_window_layers` on, if `use_sliding_window` is set.
    Upper,
    /// Those without rope, if `use_sliding_window` is set.
    WithoutRope,
    /// All but every n-th.
    AllButEvery(u32),
}

/// What most architectures have in common.
const LLAMA: Architecture = Architecture {
    name: "llama",
    hf_model_type: "llama",
    gguf_name: Some("llama"),
    norms: Norms::Pre,
    hf_norms_add_one: false,
    qk_norm: QkNorm::None,
    activation: Activation::Silu,
    biases: Biases::Configured,
    fused: false,
    scaled_embedding: false,
    windows: Windows::Never,
    softcaps: [0.0; 2],
    rope_theta: 10_000.0,
    rope_theta_local: None,
    no_rope_every: None,
    experts: false,
    // llama.cpp's converter writes Mistral's models as "llama" and leaves out their window, and llama.cpp reads none, so
    // such a file runs as llama.cpp runs it. A file that does name its window is of a model that was trained with it,
    // and what transformers computes for that model is right: such a window is kept.
    gguf: GgufFacts {
        rope_interleaved: true,
        scores_by_hidden_at_layers: None,
        windows: Windows::All,
        windows_unscaled: false,
        renormalise: true,
        long_factors: false,
    },
};

/// Those whose GGUFs keep the rows in the order of Hugging Face.
const HALVES: GgufFacts = GgufFacts { rope_interleaved: false, windows: Windows::Never, ..LLAMA.gguf };

const QWEN3: Architecture = Architecture {
    name: "qwen3",
    hf_model_type: "qwen3",
    gguf_name: Some("qwen3"),
    qk_norm: QkNorm::Head,
    windows: Windows::Upper,
    gguf: HALVES,
    ..LLAMA
};

const GEMMA2: Architecture = Architecture {
    name: "gemma2",
    hf_model_type: "gemma2",
    gguf_name: Some("gemma2"),
    norms: Norms::Sandwich,
    hf_norms_add_one: true,
    activation: Activation::GeluTanh,
    scaled_embedding: true,
    windows: Windows::AllButEvery(2),
    softcaps: [50.0, 30.0],
    gguf: GgufFacts { scores_by_hidden_at_layers: Some(46), windows: Windows::AllButEvery(2), ..HALVES },
    ..LLAMA
};

const OLMO2: Architecture = Architecture {
    name: "olmo2",
    hf_model_type: "olmo2",
    gguf_name: Some("olmo2"),
    norms: Norms::Post,
    qk_norm: QkNorm::Width,
    // OLMo 3 is written as "olmo2" with a window.
    gguf: GgufFacts { windows: Windows::AllButEvery(4), windows_unscaled: true, ..HALVES },
    ..LLAMA
};

/// All known architectures. Adding one is an entry here and a golden test; see docs/adding-an-architecture.md.
const KNOWN: &[Architecture] = &[
    LLAMA,
    Architecture { name: "mistral", hf_model_type: "mistral", gguf_name: None, windows: Windows::All, ..LLAMA },
    Architecture {
        name: "qwen2",
        hf_model_type: "qwen2",
        gguf_name: Some("qwen2"),
        biases: Biases::QueryKeyValue,
        windows: Windows::Upper,
        gguf: HALVES,
        ..LLAMA
    },
    QWEN3,
    Architecture {
        name: "qwen3_moe",
        hf_model_type: "qwen3_moe",
        gguf_name: Some("qwen3moe"),
        windows: Windows::Switched,
        experts: true,
        ..QWEN3
    },
    Architecture {
        name: "olmoe",
        hf_model_type: "olmoe",
        gguf_name: Some("olmoe"),
        qk_norm: QkNorm::Width,
        experts: true,
        gguf: GgufFacts { renormalise: false, ..HALVES },
        ..LLAMA
    },
    Architecture {
        name: "gemma",
        hf_model_type: "gemma",
        gguf_name: Some("gemma"),
        hf_norms_add_one: true,
        activation: Activation::GeluTanh,
        scaled_embedding: true,
        gguf: HALVES,
        ..LLAMA
    },
    GEMMA2,
    Architecture {
        name: "gemma3",
        hf_model_type: "gemma3_text",
        gguf_name: Some("gemma3"),
        qk_norm: QkNorm::Head,
        windows: Windows::AllButEvery(6),
        softcaps: [0.0; 2],
        rope_theta: 1_000_000.0,
        rope_theta_local: Some(10_000.0),
        gguf: GgufFacts { scores_by_hidden_at_layers: Some(62), windows: Windows::AllButEvery(6), ..HALVES },
        ..GEMMA2
    },
    Architecture {
        name: "phi3",
        hf_model_type: "phi3",
        gguf_name: Some("phi3"),
        fused: true,
        windows: Windows::All,
        // llama.cpp reads this window and leaves it out, for the sake of older files that name a wrong one.
        gguf: GgufFacts { windows: Windows::All, long_factors: true, ..HALVES },
        ..LLAMA
    },
    Architecture {
        name: "smollm3",
        hf_model_type: "smollm3",
        gguf_name: Some("smollm3"),
        windows: Windows::WithoutRope,
        rope_theta: 2_000_000.0,
        no_rope_every: Some(4),
        ..LLAMA
    },
    OLMO2,
    Architecture {
        name: "olmo3",
        hf_model_type: "olmo3",
        gguf_name: None,
        windows: Windows::AllButEvery(4),
        rope_theta: 500_000.0,
        rope_theta_local: Some(500_000.0),
        ..OLMO2
    },
    Architecture { name: "granite", hf_model_type: "granite", gguf_name: Some("granite"), ..LLAMA },
];

impl Architecture {
    /// All of them.
    pub const fn all() -> &'static [Self] {
        KNOWN
    }

    /// By `model_type` of a config.json.
    pub fn find_hf(model_type: &str) -> Result<Self> {
        Self::find(model_type, |known| Some(known.hf_model_type))
    }

    /// By `general.architecture` of a GGUF.
    pub fn find_gguf(name: &str) -> Result<Self> {
        Self::find(name, |known| known.gguf_name)
    }

    fn find(name: &str, name_of: impl Fn(&Self) -> Option<&'static str>) -> Result<Self> {
        KNOWN.iter().find(|known| name_of(known) == Some(name)).copied().ok_or_else(|| Error::UnknownArchitecture {
            architecture: name.to_owned(),
            known: KNOWN.iter().filter_map(name_of).collect::<Vec<_>>().join(", "),
        })
    }
}
