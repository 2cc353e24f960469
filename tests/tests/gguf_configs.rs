//! What a GGUF's metadata means where the fixtures have only one of several ways to say it: the stretch of a rope, and
//! which layers have a window. What is expected follows llama.cpp's `load_hparams`, but for windows that it leaves out.

use hearth_engine::{
    Error,
    file::{Documents, GgufArray, GgufMetadata, GgufValue},
    model::{ModelConfig, RopeScaling},
};

/// Sizes that every architecture takes, of a model with so many layers.
fn metadata(architecture: &str, layers: u32) -> GgufMetadata {
    let mut metadata = GgufMetadata::default();
    metadata.insert("general.architecture", GgufValue::String(architecture.to_owned()));
    let sizes = [
        ("context_length", 512),
        ("embedding_length", 64),
        ("block_count", layers),
        ("feed_forward_length", 96),
        ("attention.head_count", 4),
        ("attention.key_length", 24),
        ("vocab_size", 100),
        ("expert_count", 8),
        ("expert_used_count", 2),
        ("expert_feed_forward_length", 32),
    ];
    for (key, value) in sizes {
        if !key.starts_with("expert") || architecture == "qwen3moe" {
            metadata.insert(format!("{architecture}.{key}"), GgufValue::U32(value));
        }
    }
    metadata.insert(format!("{architecture}.attention.layer_norm_rms_epsilon"), GgufValue::F32(1e-5));
    metadata
}

fn config(architecture: &str, layers: u32, more: &[(&str, GgufValue)]) -> Result<ModelConfig, Error> {
    let mut metadata = metadata(architecture, layers);
    for (key, value) in more {
        metadata.insert(format!("{architecture}.{key}"), value.clone());
    }
    ModelConfig::read(&Documents::Gguf { metadata, tokenizer: None, tokenizer_config: None })
}

fn windows(architecture: &str, layers: u32, more: &[(&str, GgufValue)]) -> Vec<u32> {
    let keys: Vec<_> =
        [("attention.sliding_window", GgufValue::U32(9))].into_iter().chain(more.iter().cloned()).collect();
    config(architecture, layers, &keys).unwrap().layer_kinds.iter().map(|kind| kind.window).collect()
}

fn text(value: &str) -> GgufValue {
    GgufValue::String(value.to_owned())
}

#[test]
fn a_window_stands_where_the_architecture_has_it() {
    // Mistral's and Phi's models have it everywhere.
    assert_eq!(windows("llama", 3, &[]), [9, 9, 9]);
    assert_eq!(windows("phi3", 3, &[]), [9, 9, 9]);
    assert_eq!(windows("gemma2", 4, &[]), [9, 0, 9, 0]);
    assert_eq!(windows("gemma3", 7, &[]), [9, 9, 9, 9, 9, 0, 9]);
    assert_eq!(windows("olmo2", 5, &[]), [9, 9, 9, 0, 9]);
    // Whether these have switched theirs on is not said; those that were published have not.
    for architecture in ["qwen2", "qwen3", "qwen3moe"] {
        assert_eq!(windows(architecture, 3, &[]), [0, 0, 0]);
    }
    let none = config("llama", 2, &[]).unwrap();
    assert!(none.layer_kinds.iter().all(|kind| kind.window == 0));
}

#[test]
fn a_list_of_windows_goes_before_the_rule() {
    let key = "attention.sliding_window_pattern";
    let listed = |values: &[bool]| [(key, GgufValue::Array(GgufArray::Bool(values.to_vec())))];
    assert_eq!(windows("gemma3", 3, &listed(&[false, true, false])), [0, 9, 0]);
    assert_eq!(windows("qwen3", 3, &listed(&[true, false, false])), [9, 0, 0]);
    assert_eq!(windows("gemma3", 4, &[(key, GgufValue::U32(2))]), [9, 0, 9, 0]);
    let short = listed(&[true]);
    assert!(matches!(config("gemma3", 3, &short), Err(Error::BadConfig { field, .. }) if field.ends_with(key)));
    assert!(config("gemma3", 3, &[(key, GgufValue::U32(0))]).is_err());
}

/// Without a kind the stretch is linear, under either of two names of the factor.
#[test]
fn the_stretch_of_a_rope_is_read_as_llama_cpp_reads_it() {
    let scaling = |more: &[(&str, GgufValue)]| config("llama", 2, more).unwrap().ropes[0].scaling.clone();
    let four = GgufValue::F32(4.0);
    let linear = RopeScaling::Linear { factor: 4.0 };
    assert_eq!(scaling(&[("rope.scaling.factor", four.clone())]), linear);
    assert_eq!(scaling(&[("rope.scale_linear", four.clone())]), linear);
    assert_eq!(scaling(&[("rope.scaling.type", text("linear")), ("rope.scaling.factor", four.clone())]), linear);
    assert_eq!(
        scaling(&[("rope.scaling.type", text("none")), ("rope.scaling.factor", four.clone())]),
        RopeScaling::None
    );
    assert_eq!(scaling(&[("rope.scaling.factor", GgufValue::F32(0.0))]), RopeScaling::None);
    assert_eq!(scaling(&[("rope.scaling.original_context_length", GgufValue::U32(64))]), RopeScaling::None);
    let yarn = scaling(&[("rope.scaling.type", text("yarn")), ("rope.scaling.factor", four.clone())]);
    assert!(matches!(yarn, RopeScaling::Yarn { factor: 4.0, original: 512.0, .. }), "{yarn:?}");
    for wrong in [-1.0, 0.5, f32::NAN, f32::INFINITY] {
        assert!(config("llama", 2, &[("rope.scaling.factor", GgufValue::F32(wrong))]).is_err(), "{wrong}");
    }
    assert!(config("llama", 2, &[("rope.scaling.type", text("dynamic"))]).is_err());
    let grown = config("llama", 2, &[("rope.scaling.attn_factor", GgufValue::F32(1.25))]).unwrap();
    assert!((grown.ropes[0].attention_factor - 1.25).abs() < 1e-12);
}

/// Layers with a window turn as before the stretch, with a base of their own or without.
#[test]
fn the_rope_of_layers_with_a_window_is_not_stretched() {
    for (architecture, theta) in [("gemma3", 10_000.0), ("olmo2", 7000.0)] {
        let keys = [
            ("rope.freq_base", GgufValue::F32(7000.0)),
            ("rope.scaling.factor", GgufValue::F32(8.0)),
            ("attention.sliding_window", GgufValue::U32(9)),
        ];
        let config = config(architecture, 6, &keys).unwrap();
        let rope_of = |layer: usize| &config.ropes[config.layer_kinds[layer].rope.unwrap()];
        assert_eq!((rope_of(0).theta, &rope_of(0).scaling), (theta, &RopeScaling::None), "{architecture}");
        let whole = config.layer_kinds.iter().position(|kind| kind.window == 0).unwrap();
        assert_eq!((rope_of(whole).theta, &rope_of(whole).scaling), (7000.0, &RopeScaling::Linear { factor: 8.0 }));
    }
}

/// No key says by what Gemma divides the scores: llama.cpp knows its 27B models by their number of layers.
#[test]
fn the_scores_of_the_largest_gemmas_are_divided_by_the_width() {
    for (architecture, largest) in [("gemma2", 46), ("gemma3", 62)] {
        let scale = |layers| config(architecture, layers, &[]).unwrap().scales.attention;
        // 64 / 4 heads, and the length of a head.
        assert_eq!((scale(largest), scale(largest - 1)), (0.25, (1.0 / 24_f64.sqrt()) as f32), "{architecture}");
    }
}

#[test]
fn caps_that_a_file_does_not_name_are_those_of_the_architecture() {
    let caps = |architecture, more: &[(&str, GgufValue)]| {
        let scales = config(architecture, 2, more).unwrap().scales;
        [scales.attention_softcap, scales.logits_softcap]
    };
    assert_eq!(caps("gemma2", &[]), [50.0, 30.0]);
    assert_eq!(caps("gemma2", &[("attn_logit_softcapping", GgufValue::F32(20.0))]), [20.0, 30.0]);
    assert_eq!(caps("gemma3", &[]), [0.0, 0.0]);
}

#[test]
fn every_token_that_ends_a_turn_or_a_message_is_known() {
    let mut metadata = metadata("llama", 2);
    for (key, id) in [("eos_token_id", 3), ("eot_token_id", 5), ("eom_token_id", 8), ("bos_token_id", 1)] {
        metadata.insert(format!("tokenizer.ggml.{key}"), GgufValue::U32(id));
    }
    let documents = Documents::Gguf { metadata, tokenizer: None, tokenizer_config: None };
    assert_eq!(ModelConfig::read(&documents).unwrap().end_tokens, [3, 5, 8]);
}

/// llama.cpp divides by the sum where the key is absent.
#[test]
fn the_shares_of_experts_add_up_unless_the_file_says_otherwise() {
    let renormalise = |more: &[(&str, GgufValue)]| config("qwen3moe", 2, more).unwrap().experts.unwrap().renormalise;
    assert!(renormalise(&[]));
    assert!(!renormalise(&[("expert_weights_norm", GgufValue::Bool(false))]));
    // But not for these, whose experts are as wide as the file's only width.
    let counts = [("expert_count", GgufValue::U32(8)), ("expert_used_count", GgufValue::U32(2))];
    let experts = config("olmoe", 2, &counts).unwrap().experts.unwrap();
    assert_eq!((experts.renormalise, experts.feed_forward), (false, 96));
}
