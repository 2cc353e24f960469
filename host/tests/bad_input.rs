//! Bad input through the command line: a message, a hint, and exit code 1.

mod common;

use common::{ModelCopy, run};

/// Runs `complete` on a model and checks how it fails, once for people and once for programs.
fn fails(model: &str, code: &str, message: &str) {
    fails_with(&["complete", "The", "--max-tokens", "1", "--model", model], code, message);
}

fn fails_with(args: &[&str], code: &str, message: &str) {
    let ran = run(args);
    assert_eq!(ran.code, Some(1), "{args:?}: {}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "", "{args:?}");
    let mut lines = ran.stderr.lines();
    let error = lines.next().and_then(|line| line.strip_prefix("error: ")).unwrap_or_default();
    let hint = lines.next().and_then(|line| line.strip_prefix("hint: ")).unwrap_or_default();
    assert!(error.contains(message) && !hint.is_empty() && lines.next().is_none(), "{args:?}: {}", ran.stderr);

    let ran = run(&[args, &["--json"]].concat());
    assert_eq!(ran.code, Some(1), "{args:?}");
    let failure = ran.json();
    assert_eq!(failure["type"], "failed", "{args:?}");
    assert_eq!(failure["code"], code, "{args:?}: {failure}");
    assert_eq!((failure["message"].as_str(), failure["hint"].as_str()), (Some(error), Some(hint)), "{args:?}");
    assert_eq!(ran.stderr, "", "{args:?}");
}

#[test]
fn a_name_that_no_model_has() {
    fails("hearth-enormous", "unknown_model", "there are: hearth-tiny");
}

#[test]
fn a_file_that_is_no_model() {
    let file = tempfile::NamedTempFile::with_suffix(".txt").unwrap();
    fails(file.path().to_str().unwrap(), "malformed", "a model is a folder");
}

#[test]
fn an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    fails(folder.path().to_str().unwrap(), "missing_file", "is missing");
}

#[test]
fn weights_that_are_cut_short() {
    let copy = ModelCopy::new().truncate("model.safetensors", 1 << 20);
    fails(copy.argument(), "truncated", "model.safetensors is cut short");
}

#[test]
fn a_header_that_is_cut_short() {
    let copy = ModelCopy::new().truncate("model.safetensors", 5);
    fails(copy.argument(), "truncated", "model.safetensors");
}

#[test]
fn a_gguf_file_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, "This is a letter, not a model. It is long enough to hold a header.").unwrap();
    fails(path.to_str().unwrap(), "malformed", "model.gguf");
}

/// Nobody writes into these, so whoever opened one would wait for ever.
#[cfg(unix)]
#[test]
fn a_pipe_in_a_files_place() {
    let make = |path: &std::path::Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.gguf", "model"] {
        make(&folder.path().join(name));
    }
    fails(folder.path().join("model.gguf").to_str().unwrap(), "io", "it is not a file");
    fails(folder.path().join("model").to_str().unwrap(), "malformed", "a model is a folder");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"] {
        let copy = ModelCopy::new().remove(file);
        make(&copy.path().join(file));
        fails(copy.argument(), "io", &format!("reading {file} failed: it is not a file"));
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_itself_and_a_folder_in_a_files_place() {
    let folder = tempfile::tempdir().unwrap();
    let loops = folder.path().join("model.gguf");
    std::os::unix::fs::symlink(&loops, &loops).unwrap();
    fails(loops.to_str().unwrap(), "io", "model.gguf failed");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let copy = ModelCopy::new().remove(file);
        std::fs::create_dir(copy.path().join(file)).unwrap();
        fails(copy.argument(), "io", &format!("reading {file} failed: it is not a file"));
        let copy = ModelCopy::new().remove(file);
        std::os::unix::fs::symlink(copy.path().join(file), copy.path().join(file)).unwrap();
        fails(copy.argument(), "io", &format!("reading {file} failed"));
    }
}

#[test]
fn weights_that_only_python_reads() {
    let copy = ModelCopy::new().remove("model.safetensors");
    std::fs::write(copy.path().join("pytorch_model.bin"), b"PK").unwrap();
    fails(copy.argument(), "missing_file", "there is pytorch_model.bin, whose pickled weights are not read");
}

/// What is no file of its own may still be a model's: some programs name models by their hash.
#[test]
fn a_gguf_under_any_name_runs() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = format!("{}/../tests/fixtures/tiny-llama-q8_0.gguf", env!("CARGO_MANIFEST_DIR"));
    for name in ["sha256-0a1b", "model.bin", "model.safetensors.part"] {
        let path = folder.path().join(name);
        std::fs::copy(&gguf, &path).unwrap();
        run(&["complete", "The", "--max-tokens", "1", "--model", path.to_str().unwrap()]).done();
    }
}

#[test]
fn numbers_that_no_model_has() {
    let large = serde_json::json!(1_u64 << 31);
    for (field, value) in [
        ("num_hidden_layers", large.clone()),
        ("hidden_size", 0.into()),
        ("hidden_size", large.clone()),
        ("vocab_size", large.clone()),
        ("num_attention_heads", 0.into()),
        ("num_key_value_heads", 0.into()),
        ("head_dim", large.clone()),
        ("intermediate_size", (-1).into()),
        ("max_position_embeddings", large),
        ("rope_theta", 0.into()),
        ("rms_norm_eps", 1e300.into()),
    ] {
        let change = |config: &mut serde_json::Value| {
            if field == "rope_theta" && config["rope_parameters"].is_object() {
                config["rope_parameters"][field] = value.clone();
            }
            config[field] = value.clone();
        };
        fails(ModelCopy::new().edit("config.json", change).argument(), "bad_config", field);
    }
    let copy = ModelCopy::new();
    let path = copy.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    // JSON has no such number, though Python writes it.
    std::fs::write(&path, config.replacen('{', "{\"rope_theta\": NaN, ", 1)).unwrap();
    fails(copy.argument(), "malformed", "config.json");
}

#[test]
fn a_tokenizer_without_a_byte() {
    fails(ModelCopy::new().truncate("tokenizer.json", 0).argument(), "tokenizer", "the tokenizer failed");
}

#[test]
fn a_tokenizer_that_is_not_there() {
    let copy = ModelCopy::new().remove("tokenizer.json");
    fails(copy.argument(), "missing_file", "tokenizer.json is missing");
    fails_with(&["tokenize", "The", "--model", copy.argument()], "missing_file", "tokenizer.json is missing");
}

#[test]
fn an_architecture_that_is_not_known() {
    let rename = |config: &mut serde_json::Value| {
        config["model_type"] = "abacus".into();
        config["architectures"] = serde_json::json!(["AbacusForCausalLM"]);
    };
    let copy = ModelCopy::new().edit("config.json", rename);
    fails(copy.argument(), "unknown_architecture", "abacus");
    // It can still be looked at.
    let ran = run(&["inspect", copy.argument(), "--json"]);
    assert_eq!((ran.code, &ran.json_lines()[0]["is_supported"]), (Some(1), &false.into()));
}

#[test]
fn a_configuration_of_another_model() {
    let copy = ModelCopy::new().edit("config.json", |config| config["intermediate_size"] = 512.into());
    fails(copy.argument(), "wrong_shape", "has the shape");
}

#[test]
fn a_prompt_that_is_longer_than_the_context() {
    let prompt = "word ".repeat(500);
    let args = ["complete", &prompt, "--context", "64", "--max-tokens", "1"];
    fails_with(&args, "prompt_too_long", "but the context holds 64");
}

#[test]
fn a_text_that_is_not_there() {
    fails_with(&["eval", "perplexity", "--text", "absent/text.txt"], "io", "absent/text.txt");
}

#[test]
fn a_text_that_is_not_text() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [0xff, 0xfe, 0x00]).unwrap();
    fails_with(&["eval", "perplexity", "--text", file.path().to_str().unwrap()], "malformed", "utf-8");
}

#[test]
fn a_window_that_is_larger_than_the_context() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "The king went to the sea.").unwrap();
    let text = file.path().to_str().unwrap();
    let args = ["eval", "perplexity", "--text", text, "--context", "32", "--window", "64"];
    fails_with(&args, "invalid_request", "64");
}
