//! What a config.json means where it leaves a thing out, or has it as older versions of transformers wrote it. The
//! expected values are the defaults of transformers' configuration classes.

use hearth_engine::{
    Error,
    file::Documents,
    model::{ModelConfig, RopeScaling},
};
use hearth_tests::sessions::open;
use serde_json::{Value, json};

fn read(model_type: &str, more: Value) -> Result<ModelConfig, Error> {
    let mut config = json!({
        "model_type": model_type, "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": 512, "rms_norm_eps": 1e-6,
        "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    });
    let fields = config.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let mut documents = open("tests/fixtures/tiny-llama").documents;
    let Documents::HuggingFace { config: text, .. } = &mut documents else { panic!("it is a folder") };
    *text = config.to_string();
    ModelConfig::read(&documents)
}

/// The bases of the ropes: of layers without a window, and of those with one if that is another.
#[test]
fn a_rope_without_a_base_has_that_of_its_architecture() {
    let thetas = |config: &ModelConfig| config.ropes.iter().map(|rope| rope.theta).collect::<Vec<_>>();
    for (model_type, expected) in [
        ("llama", &[1e4][..]),
        ("mistral", &[1e4]),
        ("qwen2", &[1e4]),
        ("qwen3", &[1e4]),
        ("qwen3_moe", &[1e4]),
        ("olmoe", &[1e4]),
        ("gemma", &[1e4]),
        ("gemma2", &[1e4]),
        ("gemma3_text", &[1e6, 1e4]),
        ("phi3", &[1e4]),
        ("smollm3", &[2e6]),
        ("olmo2", &[1e4]),
        ("olmo3", &[5e5, 5e5]),
        ("granite", &[1e4]),
    ] {
        assert_eq!(thetas(&read(model_type, json!({})).unwrap()), expected, "{model_type}");
    }
    // As transformers 4 wrote them.
    let older =
        json!({"rope_theta": 3e4, "rope_local_base_freq": 7e3, "rope_scaling": {"type": "linear", "factor": 8.0}});
    let older = read("gemma3_text", older).unwrap();
    assert_eq!(thetas(&older), [3e4, 7e3]);
    let scaling: Vec<_> = older.ropes.iter().map(|rope| rope.scaling.clone()).collect();
    assert_eq!(scaling, [RopeScaling::Linear { factor: 8.0 }, RopeScaling::None]);
}

#[test]
fn caps_that_are_left_out_are_those_of_the_architecture() {
    let caps = |model_type, more| {
        let scales = read(model_type, more).unwrap().scales;
        [scales.attention_softcap, scales.logits_softcap]
    };
    assert_eq!(caps("gemma2", json!({})), [50.0, 30.0]);
    assert_eq!(caps("gemma2", json!({"attn_logit_softcapping": null, "final_logit_softcapping": null})), [0.0, 0.0]);
    assert_eq!(caps("gemma3_text", json!({})), [0.0, 0.0]);
    assert_eq!(caps("llama", json!({})), [0.0, 0.0]);
}

/// The first Gemma was published with the word for the exact form and means the one with tanh; its successors say it
/// in a field of their own.
#[test]
fn an_activation_of_another_form_is_refused_but_for_a_word_that_was_published() {
    let activation = |model_type, field: &str, word: &str| read(model_type, json!({field: word})).map(|_| ());
    for model_type in ["gemma", "gemma2", "gemma3_text"] {
        assert_eq!(activation(model_type, "hidden_act", "gelu"), Ok(()), "{model_type}");
        assert_eq!(activation(model_type, "hidden_activation", "gelu_pytorch_tanh"), Ok(()), "{model_type}");
        assert!(activation(model_type, "hidden_activation", "gelu").is_err(), "{model_type}");
        assert!(activation(model_type, "hidden_act", "silu").is_err(), "{model_type}");
    }
    assert!(activation("llama", "hidden_act", "gelu").is_err());
}

/// Which layers have a window follows from other fields where no list says it.
#[test]
fn a_window_that_has_a_switch_waits_for_it() {
    let windows = |model_type, more: Value| {
        let mut fields = json!({"sliding_window": 9});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(model_type, fields).unwrap().layer_kinds.iter().map(|kind| kind.window).collect::<Vec<_>>()
    };
    let on = || json!({"use_sliding_window": true, "max_window_layers": 2});
    for (model_type, off, switched) in [
        ("llama", [0; 4], [0; 4]),
        ("olmo2", [0; 4], [0; 4]),
        ("mistral", [9; 4], [9; 4]),
        ("phi3", [9; 4], [9; 4]),
        ("qwen2", [0; 4], [0, 0, 9, 9]),
        ("qwen3", [0; 4], [0, 0, 9, 9]),
        ("qwen3_moe", [0; 4], [9; 4]),
        ("gemma2", [9, 0, 9, 0], [9, 0, 9, 0]),
        ("gemma3_text", [9; 4], [9; 4]),
        ("olmo3", [9, 9, 9, 0], [9, 9, 9, 0]),
        // Those without rope: every fourth.
        ("smollm3", [0; 4], [0, 0, 0, 9]),
    ] {
        assert_eq!(windows(model_type, json!({})), off, "{model_type}");
        assert_eq!(windows(model_type, on()), switched, "{model_type}, switched on");
        assert_eq!(windows(model_type, json!({"sliding_window": null})), [0; 4], "{model_type}, none");
    }
    assert_eq!(windows("gemma3_text", json!({"sliding_window_pattern": 2})), [9, 0, 9, 0]);
}

#[test]
fn sizes_that_are_left_out_follow_from_others() {
    let config = read("llama", json!({})).unwrap();
    assert_eq!((config.kv_heads, config.head_dim), (4, 16));
    let experts = |model_type, more| read(model_type, more).unwrap().experts.unwrap();
    assert!(!experts("qwen3_moe", json!({})).renormalise);
    assert_eq!(experts("qwen3_moe", json!({})).feed_forward, 32);
    assert_eq!(experts("olmoe", json!({"moe_intermediate_size": null})).feed_forward, 96);
    let scale = |more| read("gemma2", more).unwrap().scales.attention;
    assert_eq!((scale(json!({})), scale(json!({"query_pre_attn_scalar": 64}))), (0.25, 0.125));
    // What ends a turn may stand in either place, as a number or as a list.
    assert_eq!(read("llama", json!({"eos_token_id": [7, 3]})).unwrap().end_tokens, [3, 7]);
}

/// Phi's own way of writing a stretched context: without the growth, which follows from the factor (Ding et al. 2024).
#[test]
fn the_growth_of_a_long_rope_follows_from_the_contexts() {
    let factors = [1.0; 8];
    let rope = json!({"type": "longrope", "short_factor": factors, "long_factor": factors});
    let long = read("phi3", json!({"rope_scaling": rope, "original_max_position_embeddings": 128})).unwrap();
    let expected = (1.0 + 4_f64.ln() / 128_f64.ln()).sqrt();
    assert!((long.ropes[0].attention_factor - expected).abs() < 1e-12);
    assert!(matches!(long.ropes[0].scaling, RopeScaling::Long { original: 128.0, .. }));
}
