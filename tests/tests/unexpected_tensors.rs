//! Tensors that a file has and the architecture has no place for: each is read or refused by its name, never passed
//! over, unless nothing depends on it. The same of tensors that the metadata speaks of and that are not there.

use hearth_engine::{
    Error,
    file::{GgufMetadata, GgufValue, MemoryFolder, OpenedModel, open_model},
    model::{Encoder, EncoderConfig, Model, ModelConfig},
};
use hearth_tests::{
    files::{model, read},
    gguf::Gguf,
};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

fn record(opened: &OpenedModel, context: u32) -> Result<Model, Error> {
    Model::record(ModelConfig::read(&opened.documents)?, &opened.catalog, context, false)
}

/// A folder of the fixtures with more tensors, all of them vectors of zeros.
fn folder_with(path: &str, names: &[&str]) -> MemoryFolder {
    let bytes = read(&format!("{path}/model.safetensors"));
    let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let zeros = [0; 16];
    for name in names {
        tensors.push(((*name).to_owned(), TensorView::new(Dtype::F32, vec![4], &zeros).unwrap()));
    }
    model(path).0.with("model.safetensors", serialize(tensors, None).unwrap())
}

fn open_folder(folder: &MemoryFolder) -> OpenedModel {
    pollster::block_on(open_model(folder, None)).unwrap()
}

fn assert_unexpected<T: std::fmt::Debug>(found: Result<T, Error>, name: &str, more: usize, of: &str) {
    match found {
        Err(Error::UnexpectedTensor { tensor, others, architecture }) => {
            assert_eq!((tensor.as_str(), others, architecture.as_str()), (name, more, of));
        }
        other => panic!("{of}, {name}: {other:?}"),
    }
}

/// Parts that some architecture of llama.cpp has, in files of those that have not.
const UNREAD: &[(&str, &str, &[u64])] = &[
    ("llama3", "output.scale", &[1]),
    ("llama3", "blk.1.attn_q_norm.weight", &[8]),
    ("llama3", "blk.0.attn_q.scale", &[1]),
    ("llama3", "blk.3.attn_norm.weight", &[32]),
    ("qwen2", "blk.2.attn_sinks.weight", &[4]),
    ("qwen3", "rope_factors_long.weight", &[4]),
    ("qwen3_moe", "blk.0.ffn_up_shexp.weight", &[36, 32]),
    ("qwen3_moe", "blk.1.exp_probs_b.bias", &[8]),
    ("gemma2", "blk.0.attn_norm.bias", &[32]),
    ("gemma3", "per_layer_token_embd.weight", &[272, 32]),
    ("phi3", "blk.0.attn_qkv.scale", &[1]),
    ("smollm3", "output_norm.bias", &[32]),
    ("olmo2", "blk.0.attn_norm.weight", &[32]),
    ("granite", "blk.0.ffn_norm.bias", &[32]),
];

#[test]
fn a_tensor_of_a_gguf_that_has_no_place_is_refused_by_its_name() {
    for (file, name, shape) in UNREAD {
        let architecture = if *file == "llama3" { "llama" } else { file };
        assert_unexpected(record(&Gguf::of(file).with(name, shape).open(), 32), name, 0, architecture);
    }
    let two = Gguf::of("gemma2").with("blk.0.attn_k.scale", &[1]).with("blk.0.attn_q.scale", &[1]);
    assert_unexpected(record(&two.open(), 32), "blk.0.attn_k.scale", 1, "gemma2");
}

#[test]
fn what_changes_no_logit_is_passed_over() {
    for (file, name, shape) in [
        ("llama3", "blk.0.attn_rot_embd.weight", &[4][..]),
        ("qwen3", "cls.output.weight", &[2, 32]),
        // Biases are read wherever there are some.
        ("granite", "blk.0.attn_q.bias", &[32]),
        ("mistral", "blk.0.ffn_up.bias", &[36]),
    ] {
        record(&Gguf::of(file).with(name, shape).open(), 32).unwrap_or_else(|error| panic!("{file}, {name}: {error}"));
    }
    let names = ["model.layers.0.self_attn.rotary_emb.inv_freq", "score.weight", "v_head.summary.bias"];
    let folder = folder_with("tests/fixtures/architectures/qwen3", &names);
    record(&open_folder(&folder), 32).unwrap();
}

#[test]
fn a_tensor_of_a_folder_that_has_no_place_is_refused_by_its_name() {
    for (path, name, of) in [
        ("tests/fixtures/architectures/mistral", "model.layers.0.self_attn.q_proj.bias", "mistral"),
        ("tests/fixtures/architectures/qwen2", "model.layers.1.self_attn.o_proj.bias", "qwen2"),
        ("tests/fixtures/architectures/qwen3", "model.layers.3.input_layernorm.weight", "qwen3"),
        ("tests/fixtures/architectures/granite", "lm_head.bias", "granite"),
        ("tests/fixtures/architectures/phi3", "model.layers.0.self_attn.qkv_proj.weight_scale", "phi3"),
    ] {
        assert_unexpected(record(&open_folder(&folder_with(path, &[name])), 32), name, 0, of);
    }
}

/// The configuration says which biases there are; the file must agree, either way.
#[test]
fn biases_that_the_configuration_does_not_speak_of_are_refused() {
    let path = "tests/fixtures/architectures/llama3";
    let with = |path: &str, field: &str, value: bool| {
        let mut config: serde_json::Value = serde_json::from_slice(&read(&format!("{path}/config.json"))).unwrap();
        config[field] = value.into();
        record(&open_folder(&model(path).0.with("config.json", config.to_string())), 32)
    };
    // Three layers, with four biases of attention and three of the feed-forward layer each.
    let of_attention = "model.layers.0.self_attn.k_proj.bias";
    assert_unexpected(with(path, "attention_bias", false), of_attention, 11, "llama");
    assert_unexpected(with(path, "mlp_bias", false), "model.layers.0.mlp.down_proj.bias", 8, "llama");
    let missing = |tensor: &str| Err(Error::MissingTensor { tensor: tensor.to_owned() });
    let plain = "tests/fixtures/tiny-llama";
    let found = |field| with(plain, field, true).map(|_| ());
    assert_eq!(found("mlp_bias"), missing("model.layers.0.mlp.gate_proj.bias"));
    assert_eq!(found("attention_bias"), missing("model.layers.0.self_attn.q_proj.bias"));
}

#[test]
fn metadata_that_asks_for_factors_needs_their_tensors() {
    for name in ["rope_factors_long.weight", "rope_factors_short.weight"] {
        for context in [32, 192] {
            let found = record(&Gguf::of("phi3").without(name).open(), context).map(|_| ());
            assert_eq!(found, Err(Error::MissingTensor { tensor: name.to_owned() }), "{context}");
        }
    }
    // Whichever key says so.
    let plain = || Gguf::of("phi3").without("rope_factors_long.weight").without("rope_factors_short.weight");
    let unstretched = || plain().set("phi3.context_length", GgufValue::U32(32));
    let missing = || Err(Error::MissingTensor { tensor: "rope_factors_long.weight".to_owned() });
    assert_eq!(record(&unstretched().open(), 32).map(|_| ()), missing(), "a growth is asked for");
    let named = Gguf::of("qwen2").set("qwen2.rope.scaling.type", GgufValue::String("longrope".into()));
    assert_eq!(record(&named.open(), 32).map(|_| ()), missing());
    // As the converter writes a Phi whose context was never stretched.
    let mut short = unstretched();
    short.metadata = short.metadata.iter().filter(|(key, _)| !key.ends_with("attn_factor")).fold(
        GgufMetadata::default(),
        |mut metadata, (key, value)| {
            metadata.insert(key, value.clone());
            metadata
        },
    );
    record(&short.open(), 32).unwrap();
}

/// Such files are published to try tokenizers with.
#[test]
fn a_vocabulary_alone_is_no_model() {
    let vocabulary = Gguf { metadata: Gguf::of("llama3").metadata, tensors: Vec::new() };
    match record(&vocabulary.open(), 32) {
        Err(Error::Malformed { file, reason }) => assert_eq!((&*file, &*reason), ("m.gguf", "it holds no weights")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tensor_of_an_encoder_that_has_no_place_is_refused_by_its_name() {
    let path = "tests/fixtures/tiny-bert";
    let encoder = |names: &[&str]| {
        let opened = open_folder(&folder_with(path, names));
        let config = EncoderConfig::find(&opened.documents).unwrap().expect("it is an encoder");
        Encoder::record(config, &opened.catalog, 16)
    };
    let heads = ["cls.predictions.bias", "lm_head.bias", "classifier.weight", "embeddings.token_type_ids"];
    encoder(&heads).unwrap();
    let name = "encoder.layer.0.attention.self.distance_embedding.weight";
    assert_unexpected(encoder(&[name]), name, 0, "bert");
}
