//! Damaged, hostile and mismatched files: each is a typed error with a cure, and none is a panic or a flood of memory.

use hearth_engine::{
    file::MemoryFolder,
    protocol::{DeviceChoice, Event, Failure, FailureCode},
};
use hearth_tests::{
    files::{model, read},
    numbers::Random,
    platform::Host,
};

const TINY: &str = "tests/fixtures/tiny-llama";
const GGUF: &str = "tests/fixtures/tiny-llama-q8_0.gguf";
const GGUF_NAME: &str = "tiny-llama-q8_0.gguf";

/// Loads a model from these files.
fn load(folder: MemoryFolder, file: Option<&str>) -> Event {
    let host = Host::default();
    host.platform.add("model", folder, file);
    host.load("model", DeviceChoice::Cpu, None)
}

/// Why it could not be loaded.
fn refusal(folder: MemoryFolder, file: Option<&str>) -> Failure {
    match load(folder, file) {
        Event::Failed(failure) => {
            assert!(failure.message.len() > 10 && failure.hint.len() > 10, "{failure:?}");
            failure
        }
        other => panic!("{other:?}"),
    }
}

fn tiny() -> MemoryFolder {
    model(TINY).0
}

fn with_weights(bytes: Vec<u8>) -> MemoryFolder {
    tiny().with("model.safetensors", bytes)
}

fn with_gguf(bytes: Vec<u8>) -> MemoryFolder {
    MemoryFolder::new("gguf").with(GGUF_NAME, bytes)
}

/// The tiny model with another value in one field of its configuration.
fn with_config(field: &str, value: serde_json::Value) -> MemoryFolder {
    let mut config: serde_json::Value = serde_json::from_slice(&read(&format!("{TINY}/config.json"))).unwrap();
    config[field] = value;
    tiny().with("config.json", config.to_string())
}

/// Lengths at which to cut a file: about its header, and here and there in its data.
fn cuts(len: usize) -> Vec<usize> {
    let mut random = Random::new(5);
    let mut cuts: Vec<usize> = (0..40).chain((0..60).map(|_| random.below(len as u64) as usize)).collect();
    cuts.push(len - 1);
    cuts
}

#[test]
fn safetensors_that_are_cut_short() {
    let whole = read(&format!("{TINY}/model.safetensors"));
    for cut in cuts(whole.len()) {
        let failure = refusal(with_weights(whole[..cut].to_vec()), None);
        assert!(matches!(failure.code, FailureCode::Truncated | FailureCode::Malformed), "{cut}: {failure:?}");
        assert!(failure.message.contains("model.safetensors"), "{}", failure.message);
    }
}

#[test]
fn gguf_that_is_cut_short() {
    let whole = read(GGUF);
    for cut in cuts(whole.len()) {
        let failure = refusal(with_gguf(whole[..cut].to_vec()), Some(GGUF_NAME));
        assert!(matches!(failure.code, FailureCode::Truncated | FailureCode::Malformed), "{cut}: {failure:?}");
        assert!(failure.message.contains(GGUF_NAME), "{}", failure.message);
    }
}

#[test]
fn a_header_that_promises_more_than_the_file_holds() {
    let mut bytes = read(&format!("{TINY}/model.safetensors"));
    for promise in [bytes.len() as u64, 1 << 40, u64::MAX] {
        bytes[..8].copy_from_slice(&promise.to_le_bytes());
        let failure = refusal(with_weights(bytes.clone()), None);
        assert!(matches!(failure.code, FailureCode::Truncated | FailureCode::Malformed), "{failure:?}");
    }
    // In a GGUF file: the number of tensors, then that of the keys.
    for at in [8, 16] {
        for promise in [1_u64 << 20, 1 << 40, u64::MAX] {
            let mut bytes = read(GGUF);
            bytes[at..at + 8].copy_from_slice(&promise.to_le_bytes());
            let failure = refusal(with_gguf(bytes), Some(GGUF_NAME));
            assert!(matches!(failure.code, FailureCode::Truncated | FailureCode::Malformed), "{failure:?}");
        }
    }
}

/// Flips bits of a file's header, one at a time; every outcome but a panic is allowed, since a flipped bit of a name, a
/// text or a number may make another sound model.
fn flip_bits(whole: &[u8], header_len: usize, load: impl Fn(Vec<u8>) -> Event) -> usize {
    let mut random = Random::new(6);
    let mut refused = 0;
    for _ in 0..400 {
        let mut bytes = whole.to_vec();
        bytes[random.below(header_len as u64) as usize] ^= 1 << random.below(8);
        match load(bytes) {
            Event::Loaded(_) => {}
            Event::Failed(failure) => {
                refused += 1;
                assert!(!failure.message.is_empty() && !failure.hint.is_empty());
                assert_ne!(failure.code, FailureCode::DeviceFault, "{failure:?}: a file must be refused earlier");
            }
            other => panic!("{other:?}"),
        }
    }
    refused
}

#[test]
fn flipped_bits_in_safetensors() {
    let whole = read(&format!("{TINY}/model.safetensors"));
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let refused = flip_bits(&whole, header, |bytes| load(with_weights(bytes), None));
    assert!(refused > 300, "only {refused} of 400 were noticed");
}

#[test]
fn flipped_bits_in_gguf() {
    let whole = read(GGUF);
    // Metadata and tensor table; the data begins after them.
    let header = whole.len() - 2 * 272 * 68 - 2 * 32_768;
    flip_bits(&whole, header.min(12_000), |bytes| load(with_gguf(bytes), Some(GGUF_NAME)));
    let magic = flip_bits(&whole, 4, |bytes| load(with_gguf(bytes), Some(GGUF_NAME)));
    assert_eq!(magic, 400, "a file that does not begin with GGUF is none");
}

#[test]
fn flipped_bits_in_documents() {
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let whole = read(&format!("{TINY}/{name}"));
        flip_bits(&whole, whole.len(), |bytes| load(tiny().with(name, bytes), None));
    }
}

#[test]
fn files_that_are_missing() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let failure = refusal(tiny().without(name), None);
        assert_eq!(failure.code, FailureCode::MissingFile);
        assert!(failure.message.contains(name), "{}", failure.message);
    }
    let sharded = model("tests/fixtures/tiny-llama-sharded").0;
    let failure = refusal(sharded.without("model-00002-of-00002.safetensors"), None);
    assert_eq!(failure.code, FailureCode::MissingFile);
    assert!(failure.message.contains("model-00002-of-00002.safetensors"), "{}", failure.message);
    assert_eq!(refusal(MemoryFolder::new("empty"), None).code, FailureCode::MissingFile);
}

#[test]
fn an_architecture_that_is_not_known() {
    let failure = refusal(with_config("model_type", "mamba".into()), None);
    assert_eq!(failure.code, FailureCode::UnknownArchitecture);
    assert!(failure.message.contains("mamba") && failure.message.contains("llama"), "{}", failure.message);
}

#[test]
fn a_configuration_that_does_not_fit_the_weights() {
    for (field, value) in [("hidden_size", 128), ("vocab_size", 300), ("intermediate_size", 64)] {
        let failure = refusal(with_config(field, value.into()), None);
        assert_eq!(failure.code, FailureCode::WrongShape, "{field}: {failure:?}");
        assert!(failure.message.contains(&value.to_string()), "{}", failure.message);
    }
    let failure = refusal(with_config("num_hidden_layers", 3.into()), None);
    assert_eq!(failure.code, FailureCode::MissingTensor);
    assert!(failure.message.contains("model.layers.2."), "{}", failure.message);
}

#[test]
fn a_configuration_that_cannot_be() {
    for (field, value) in [
        ("hidden_size", 0.into()),
        ("num_attention_heads", 0.into()),
        ("num_key_value_heads", 3.into()),
        ("head_dim", 1024.into()),
        ("head_dim", 15.into()),
        ("max_position_embeddings", 0.into()),
        ("num_hidden_layers", 100_000.into()),
        ("rms_norm_eps", (-1.0).into()),
        ("rope_theta", 0.0.into()),
        ("hidden_act", "gelu".into()),
        ("vocab_size", serde_json::Value::Null),
    ] {
        let failure = refusal(with_config(field, value), None);
        assert_eq!(failure.code, FailureCode::BadConfig, "{field}: {failure:?}");
    }
    assert_eq!(refusal(tiny().with("config.json", "{"), None).code, FailureCode::Malformed);
}

#[test]
fn a_tokenizer_that_is_none() {
    let failure = refusal(tiny().with("tokenizer.json", "{}"), None);
    assert_eq!(failure.code, FailureCode::Tokenizer);
    let failure = refusal(tiny().with("tokenizer.json", read("tests/fixtures/tiny-odd/config.json")), None);
    assert_eq!(failure.code, FailureCode::Tokenizer);
}

#[test]
fn weights_in_a_format_that_is_not_read() {
    let whole = read(&format!("{TINY}/model.safetensors"));
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("BF16").expect("it is there");
    let mut bytes = whole;
    bytes[at..at + 4].copy_from_slice(b"I16\"");
    assert_eq!(refusal(with_weights(bytes.clone()), None).code, FailureCode::Malformed);
    // The same number of bytes for each element, and JSON that is right.
    bytes[at - 1..at + 5].copy_from_slice(b" \"I16\"");
    assert_eq!(refusal(with_weights(bytes), None).code, FailureCode::UnsupportedFormat);
}
