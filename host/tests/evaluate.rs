//! `hearth eval`: a model beside another, and pairs of sentences.

mod common;

use common::{MODEL, hearth, keys, run};
use serde_json::Value;

const TEXT: &str = "The king went to the sea, and the sea was still. He sat down on a stone and waited for the boat. ";

fn text_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TEXT.repeat(3)).unwrap();
    file
}

fn fails_with(args: &[&str], code: &str, words: &str) {
    let ran = hearth(args).arg("--json").output().unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    let failure: Value = serde_json::from_str(printed.lines().last().unwrap_or("null")).unwrap_or_default();
    assert_eq!(ran.status.code(), Some(1), "{printed}");
    assert!(failure["code"] == code && failure["message"].as_str().unwrap().contains(words), "{printed}");
}

/// A tiny model of the same vocabulary as another's, and one of another vocabulary.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/architectures/llama3");

#[test]
fn a_model_does_not_differ_from_itself() {
    let text = text_file();
    let path = text.path().to_str().unwrap();
    let found =
        run(&["eval", "compare", "--reference", MODEL, "--text", path, "--window", "16", "--json"]).done().json();
    let number = |name: &str| found[name].as_f64().unwrap();
    assert!(number("kl_max") < 1e-9, "{found}");
    assert!((number("top_agreement") - 1.0).abs() < 1e-12 && number("positions") > 60.0, "{found}");
    assert!((number("perplexity") / number("reference_perplexity") - 1.0).abs() < 1e-9, "{found}");
    // Less of the text is less to compare.
    let args = ["eval", "compare", "--reference", MODEL, "--text", path, "--window", "16", "--tokens", "20", "--json"];
    let short = run(&args).done().json();
    assert!(short["positions"].as_f64().unwrap() < 24.0, "{short}");
}

#[test]
fn the_better_sentence_is_the_likelier_one() {
    let folder = tempfile::tempdir().unwrap();
    let good = "The king went to the sea.";
    let easy = format!("{{\"good\": \"{good}\", \"bad\": \"The the king to went sea.\"}}\n");
    std::fs::write(folder.path().join("b_order.jsonl"), easy.repeat(2)).unwrap();
    // The same sentence twice: neither is the likelier one.
    std::fs::write(folder.path().join("a_same.jsonl"), format!("{{\"good\": \"{good}\", \"bad\": \"{good}\"}}\n"))
        .unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not pairs").unwrap();
    let path = folder.path().to_str().unwrap();
    let found = run(&["eval", "pairs", path, "--json"]).done().json();
    assert_eq!(found["files"][0]["name"], "a_same");
    assert_eq!((&found["files"][0]["accuracy"], &found["files"][1]["accuracy"]), (&0.0.into(), &1.0.into()), "{found}");
    assert_eq!(found["accuracy"], 0.5);
    let limited = run(&["eval", "pairs", path, "--limit", "1", "--json"]).done().json();
    assert_eq!(limited["files"][1]["pairs"], 1);
    let printed = run(&["eval", "pairs", path]).done().stdout;
    assert!(printed.contains("b_order") && printed.contains("the mean of 2 files"), "{printed}");
}

#[test]
fn a_frontier_has_a_line_for_each_model_and_a_picture() {
    let text = text_file();
    let picture = tempfile::NamedTempFile::new().unwrap();
    let (text, out) = (text.path().to_str().unwrap(), picture.path().to_str().unwrap());
    let args = ["eval", "frontier", MODEL, MODEL, "--reference", MODEL, "--text", text, "--window", "32", "-o", out];
    let lines = run(&[&args[..], &["--json"]].concat()).done().json_lines();
    assert_eq!(lines.len(), 2);
    let expected = [
        "model",
        "weights_bytes",
        "bits_per_weight",
        "linear_bits_per_weight",
        "kl_mean",
        "top_agreement",
        "perplexity",
        "perplexity_rise",
        "accuracy_kept",
        "pairs_accuracy",
        "quantizer",
    ];
    assert_eq!(keys(&lines[0]), expected);
    assert!((lines[0]["bits_per_weight"].as_f64().unwrap() - 16.0).abs() < 1e-9, "{}", lines[0]);
    let svg = std::fs::read_to_string(out).unwrap();
    assert!(svg.starts_with("<svg") && svg.matches("<circle").count() == 2 && svg.contains(MODEL), "{svg}");
}

#[test]
fn a_table_for_beside_the_model_is_what_inspect_shows() {
    let text = text_file();
    let copy = common::ModelCopy::new().remove("frontier.json");
    let (text, out) = (text.path().to_str().unwrap(), copy.path().join("frontier.json"));
    let shown = || run(&["inspect", copy.argument(), "--json"]).done().json()["recipes"]["frontier"].clone();
    assert!(shown().is_null());
    let out = out.to_str().unwrap();
    let args = ["eval", "frontier", copy.argument(), "--reference", MODEL, "--text", text, "--window", "32", "-o", out];
    run(&args).done();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!((&written["version"], &written["reference"]), (&1.into(), &MODEL.into()), "{written}");
    let point = &written["points"][0];
    assert_eq!(point["model"], copy.path().file_name().unwrap().to_str().unwrap(), "no folder of this machine");
    assert_eq!(point["quantizer"], "none");
    assert_eq!(shown(), written);
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_was_measured() {
    use std::io::{BufRead, BufReader};
    let (text, folder) = (text_file(), tempfile::tempdir().unwrap());
    let table = folder.path().join("frontier.json");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["eval", "frontier"])
        .args([MODEL; 40])
        .args(["--reference", MODEL, "--window", "32", "--device", "cpu", "--json", "--text"])
        .arg(text.path())
        .arg("-o")
        .arg(&table)
        .env("HEARTH_MODELS", common::models_dir())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(rest.len() < 40, "it went on to the end");
    assert_eq!((&rest[rest.len() - 1]["type"], &rest[rest.len() - 1]["code"]), (&"failed".into(), &"cancelled".into()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let written: Value = serde_json::from_str(&std::fs::read_to_string(table).unwrap()).unwrap();
    assert_eq!(written["points"].as_array().unwrap().len(), rest.len(), "each line but the last is a model's");
}

#[test]
fn quantising_without_a_text_says_what_text_is_needed() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("made");
    let ran = run(&["quantize", MODEL, "--bits", "3", "-o", folder.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    assert!(ran.stderr.contains("--calibrate FILE is needed: a plain text like"), "{}", ran.stderr);
    assert!(!folder.exists());
}

#[test]
fn what_cannot_be_compared_is_said() {
    let text = text_file();
    let path = text.path().to_str().unwrap();
    fails_with(&["eval", "compare", "--reference", TINY, "--text", path], "invalid_request", "vocabulary");
    fails_with(&["eval", "compare", "--reference", "absent", "--text", path], "unknown_model", "absent");
    fails_with(&["eval", "pairs", "absent.jsonl"], "io", "absent.jsonl");
    fails_with(&["eval", "pairs", path], "malformed", "line 1 is no pair");
    let empty = tempfile::tempdir().unwrap();
    fails_with(&["eval", "pairs", empty.path().to_str().unwrap()], "invalid_request", "holds no pairs");
}
