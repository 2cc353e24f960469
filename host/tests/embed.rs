//! `hearth embed`: the fixture's vectors on the command line, and what it says where it cannot make any.

mod common;

use common::{run, run_with_input};
use serde_json::Value;

fn fixture(name: &str) -> String {
    format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn vector(line: &Value) -> Vec<f64> {
    line["vector"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn json_has_a_line_for_each_text_and_one_at_the_end() {
    let ran = run(&["embed", "--model", &fixture("tiny-bert"), "--json", "hearth", "The sea and the ship"]).done();
    let lines = ran.json_lines();
    let (last, embeddings) = lines.split_last().unwrap();
    assert_eq!(embeddings.len(), 2);
    for (index, line) in embeddings.iter().enumerate() {
        assert_eq!(line["type"], "embedding");
        assert_eq!(line["index"], index);
        let vector = vector(line);
        assert_eq!(vector.len(), 60);
        assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
    }
    assert_eq!(last["type"], "embedded");
    // What the fixture's 1_Pooling/config.json says.
    assert_eq!(last["pooling"], "cls");
    assert_eq!((last["texts"].as_u64(), last["dimensions"].as_u64()), (Some(2), Some(60)));
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_folder_and_the_gguf_give_the_same_vector_and_a_question_another() {
    // Beside the file, as publishers of a GGUF put it.
    let beside = tempfile::tempdir().unwrap();
    let file = beside.path().join("tiny-bert.gguf");
    std::fs::copy(fixture("tiny-bert.gguf"), &file).unwrap();
    std::fs::copy(fixture("tiny-bert/tokenizer.json"), beside.path().join("tokenizer.json")).unwrap();
    let embed = |model: &str, more: &[&str]| {
        let args = [&["embed", "--model", model, "--json", "Where did the ship go?"], more].concat();
        vector(&run(&args).done().json_lines()[0])
    };
    let model = fixture("tiny-bert");
    let (folder, file) = (embed(&model, &[]), embed(file.to_str().unwrap(), &[]));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    assert!(dot(&folder, &file) > 0.9999);
    // The fixture puts "query: " before a question, and nothing before a passage.
    assert!(dot(&folder, &embed(&model, &["--query"])) < 0.999);
    assert_eq!(folder, embed(&model, &["--document"]));
}

#[test]
fn a_pipe_has_a_text_a_line() {
    let ran = run_with_input(&["embed", "--model", &fixture("tiny-roberta"), "--json"], "one\n\ntwo\n").done();
    assert_eq!(ran.json_lines().len(), 3);
}

#[test]
fn what_is_missing_is_said_with_its_cure() {
    let without_model = run(&["embed", "hearth"]);
    assert_eq!(without_model.code, Some(2));
    assert!(without_model.stderr.contains("--model"), "{}", without_model.stderr);
    let chat_model = run(&["embed", "--model", common::MODEL, "hearth"]);
    assert_eq!(chat_model.code, Some(1));
    assert!(chat_model.stderr.contains("embedding model"), "{}", chat_model.stderr);
    let long = "sea ".repeat(100);
    let too_long = run(&["embed", "--model", &fixture("tiny-bert"), "--no-truncate", &long]);
    assert_eq!(too_long.code, Some(1));
    assert!(too_long.stderr.contains("40"), "{}", too_long.stderr);
}

#[test]
fn a_decoder_takes_its_last_token_and_an_instruction() {
    let embed = |model: &str, more: &[&str]| {
        let model = fixture(model);
        let args = [&["embed", "--model", &model, "--json", "Where did the ship go?"], more].concat();
        let lines = run(&args).done().json_lines();
        // What the folder's 1_Pooling/config.json and the file's own metadata say.
        assert_eq!(lines[1]["pooling"], "last");
        vector(&lines[0])
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let query = embed("tiny-qwen3-embedding", &["--query"]);
    // The folder says where a text is cut, the file does not.
    let prompted = embed("tiny-qwen3-embedding.gguf", &["--prompt", "Instruct: Find it\nQuery:", "--context", "40"]);
    assert!(dot(&query, &prompted) > 0.9999);
    assert!(dot(&query, &embed("tiny-qwen3-embedding", &[])) < 0.999);
    let shown = run(&["inspect", &fixture("tiny-qwen3-embedding")]).done().stdout;
    assert!(shown.contains("turn texts into vectors"), "{shown}");
}
