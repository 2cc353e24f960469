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
    let report = run(&["inspect", copy.argument(), "--json"]).done().json();
    assert_eq!(report["is_supported"], false);
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
