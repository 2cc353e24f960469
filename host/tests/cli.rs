//! The command line: what it prints, and how it ends.

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use common::{MODEL, ModelCopy, hearth, keys, models_dir, run, run_with_input};
use serde_json::Value;

#[test]
fn what_is_not_understood_is_a_usage_error() {
    let wrong: [&[&str]; 14] = [
        &[],
        &["sing"],
        &["chat", "--loudly", "Hello"],
        &["complete"],
        &["tokenize"],
        &["inspect"],
        &["eval"],
        &["eval", "perplexity"],
        &["chat", "Hello", "--temperature", "-1"],
        &["chat", "Hello", "--top-p", "1.5"],
        &["chat", "Hello", "--greedy", "--temperature", "1"],
        &["chat", "Hello", "--context", "0"],
        &["chat", "Hello", "--max-tokens", "0"],
        &["serve", "--port", "70000"],
    ];
    for args in wrong {
        let ran = hearth(args).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{args:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn an_empty_prompt_is_a_usage_error() {
    let ran = run_with_input(&["chat"], "  \n");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("the prompt is empty"), "{}", ran.stderr);
}

#[test]
fn complete_prints_an_event_a_line() {
    let ran = run(&["complete", "Once upon a time", "--greedy", "--max-tokens", "4", "--json"]).done();
    let lines = ran.json_lines();
    let (last, tokens) = lines.split_last().unwrap();
    assert!(!tokens.is_empty() && tokens.len() <= 4, "{}", ran.stdout);
    for token in tokens {
        assert_eq!(keys(token), ["type", "id", "text"]);
        assert_eq!(token["type"], "token");
        assert!(token["id"].is_u64() && token["text"].is_string());
    }
    let expected =
        ["type", "route", "adapter", "prompt_tokens", "tokens", "first_token_ms", "decode_tokens_per_s", "stop_reason"];
    assert_eq!(keys(last), expected);
    assert_eq!(last["type"], "done");
    assert_eq!(last["route"], "native-cpu");
    assert_eq!(last["tokens"], tokens.len());
    assert!(last["prompt_tokens"].as_u64().unwrap() >= 1);
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_model_without_a_chat_template_is_talked_to_with_a_warning() {
    let model = ModelCopy::new().edit("tokenizer_config.json", |config| {
        config.as_object_mut().unwrap().shift_remove("chat_template").unwrap();
    });
    let ran = run(&["chat", "Hello.", "--model", model.argument(), "--greedy", "--max-tokens", "60"]).done();
    assert!(ran.stderr.starts_with("warning: This model brings no chat template"), "{}", ran.stderr);
    assert!(!ran.stdout.trim().is_empty() && !ran.stdout.contains("User:"), "{}", ran.stdout);
    let ran = run(&["complete", "Hello.", "--model", model.argument(), "--greedy", "--max-tokens", "2"]).done();
    assert_eq!(ran.stderr, "");
}

#[test]
fn thoughts_are_shown_beside_the_answer_or_not_at_all() {
    let model = ModelCopy::new().edit("tokenizer_config.json", |config| {
        let template = config["chat_template"].as_str().unwrap();
        assert!(template.contains("'<|assistant|>' }}"), "{template}");
        config["chat_template"] =
            template.replace("'<|assistant|>' }}", "'<|assistant|><think>' }}{# </think> #}").into();
    });
    let ask = |more: &[&str]| {
        let args =
            ["chat", "Tell me a story about the sea.", "--model", model.argument(), "--greedy", "--max-tokens", "6"];
        run(&[&args[..], more].concat()).done()
    };
    let shown = ask(&["--reasoning", "show"]);
    assert!(!shown.stderr.trim().is_empty() && shown.stdout.is_empty(), "{:?} {:?}", shown.stderr, shown.stdout);
    for hidden in [ask(&[]), ask(&["--reasoning", "hide"])] {
        assert_eq!((hidden.stderr.as_str(), hidden.stdout.as_str()), ("", ""));
    }
    let events = ask(&["--json"]).json_lines();
    let (_, tokens) = events.split_last().unwrap();
    let thought: String = tokens.iter().filter_map(|token| token["reasoning"].as_str()).collect();
    assert_eq!(thought.trim(), shown.stderr.trim());
    assert!(tokens.iter().all(|token| token["text"] == ""), "{tokens:?}");
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let args = ["complete", "The", "--temperature", "1.5", "--seed", "7", "--max-tokens", "12"];
    let [first, second] = [run(&args).done().stdout, run(&args).done().stdout];
    assert!(!first.trim().is_empty());
    assert_eq!(first, second);
}

#[test]
fn a_pipe_is_a_prompt() {
    let args = ["chat", "--greedy", "--max-tokens", "3", "--json"];
    let piped = run_with_input(&args, "Hello there\n").done();
    let spoken = run(&["chat", "Hello there", "--greedy", "--max-tokens", "3", "--json"]).done();
    let ids = |ran: &common::Ran| ran.json_lines().iter().map(|line| line["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&piped), ids(&spoken));
}

#[test]
fn system_instructions_lengthen_the_prompt() {
    let prompt_tokens = |args: &[&str]| {
        let ran = run(&[&["chat", "Hi", "--greedy", "--max-tokens", "1", "--json"], args].concat()).done();
        ran.json_lines().last().unwrap()["prompt_tokens"].as_u64().unwrap()
    };
    assert!(prompt_tokens(&["--system", "Speak briefly."]) > prompt_tokens(&[]));
}

#[test]
fn a_stop_text_ends_the_answer_and_is_not_part_of_it() {
    let args = ["complete", "Once upon a time", "--greedy", "--max-tokens", "24"];
    let whole = run(&args).done().stdout;
    let stop: String = whole.trim().chars().skip(8).take(4).collect();
    assert_eq!(stop.chars().count(), 4, "{whole:?}");
    let cut = run(&[&args[..], &["--stop", &stop]].concat()).done().stdout;
    assert!(!cut.contains(&stop) && whole.starts_with(cut.trim_end_matches('\n')), "{cut:?} of {whole:?}");
    let events = run(&[&args[..], &["--stop", &stop, "--json"]].concat()).done();
    assert_eq!(events.json_lines().last().unwrap()["stop_reason"], "stop_text");
}

#[test]
fn loading_is_told_only_when_asked_for() {
    let args = ["complete", "The", "--greedy", "--max-tokens", "1", "--json"];
    let kinds = |args: &[&str]| -> Vec<String> {
        let lines = run(args).done().json_lines();
        lines.iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&args), ["token", "done"]);
    let verbose = kinds(&[&args[..], &["--verbose"]].concat());
    assert!(verbose.contains(&"loading".to_owned()) && verbose.contains(&"prefilled".to_owned()), "{verbose:?}");
    assert_eq!(verbose.last().unwrap(), "done");
}

#[test]
fn tokenize_prints_ids() {
    let ids = |args: &[&str]| {
        let printed = run(&[&["tokenize", "--json"], args].concat()).done().json();
        assert_eq!(keys(&printed), ["ids"]);
        let ids: Vec<u64> = serde_json::from_value(printed["ids"].clone()).unwrap();
        ids
    };
    assert!(ids(&["Hello, world"]).len() >= 2);
    // Spelled out, a special token is one token, or plain text of several.
    assert!(ids(&["<|user|>"]).len() < ids(&["--no-special", "<|user|>"]).len());
    assert_eq!(run(&["tokenize", "Hello, world"]).done().stdout.lines().count(), ids(&["Hello, world"]).len());
}

#[test]
fn probe_prints_one_object() {
    let report = run(&["probe", "--json"]).done().json();
    for key in ["platform", "adapters", "cpu", "memory", "recommended"] {
        assert!(report.get(key).is_some(), "{key} in {report}");
    }
    assert!(report["cpu"]["cores"].as_u64().unwrap() >= 1);
    assert!(!report["cpu"]["simd"].as_str().unwrap().is_empty());
    assert!(report["memory"]["total_bytes"].as_u64().unwrap() > 0);
    for adapter in report["adapters"].as_array().unwrap() {
        assert!(adapter["features"].is_array() && adapter["limits"].is_object(), "{adapter}");
    }
    assert!(run(&["probe"]).done().stdout.contains("cpu "));
}

#[test]
fn threads_are_as_many_as_asked_for() {
    for threads in [1, 3] {
        let report = run(&["probe", "--json", "--threads", &threads.to_string()]).done().json();
        assert_eq!(report["cpu"]["threads"], threads);
    }
}

#[test]
fn perplexity_is_the_exponential_of_the_mean() {
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "The king went to the sea, and the sea was still. ".repeat(4)).unwrap();
    let path = text.path().to_str().unwrap();
    let printed = run(&["eval", "perplexity", "--text", path, "--json"]).done().json();
    assert_eq!(keys(&printed), ["tokens", "nll_mean", "perplexity"]);
    let (mean, perplexity) = (printed["nll_mean"].as_f64().unwrap(), printed["perplexity"].as_f64().unwrap());
    assert!(mean > 0.0 && (mean.exp() - perplexity).abs() <= 1e-9 * perplexity, "{printed}");
    // Smaller windows score fewer tokens: the first of each is given.
    let windowed = run(&["eval", "perplexity", "--text", path, "--window", "8", "--json"]).done().json();
    assert!(windowed["tokens"].as_u64() < printed["tokens"].as_u64(), "{windowed} {printed}");
}

#[test]
fn inspect_lists_every_tensor() {
    let folder = models_dir().join(MODEL);
    let by_path = run(&["inspect", folder.to_str().unwrap(), "--json"]).done().json();
    let by_name = run(&["inspect", MODEL, "--json"]).done().json();
    assert_eq!(by_path["tensors"], by_name["tensors"]);
    let tensors = by_path["tensors"].as_array().unwrap();
    let sum: u64 = tensors.iter().map(|tensor| tensor["bytes"].as_u64().unwrap()).sum();
    assert_eq!(by_path["weights_bytes"], sum);
    assert_eq!(by_path["architecture"], "llama");
    assert_eq!(by_path["is_supported"], true);
    for tensor in tensors {
        assert_eq!(keys(tensor), ["name", "shape", "format", "bytes"]);
    }
    let printed = run(&["inspect", MODEL, "--tensors"]).done().stdout;
    assert!(tensors.iter().all(|tensor| printed.contains(tensor["name"].as_str().unwrap())));
    let short = run(&["inspect", MODEL]).done().stdout;
    assert!(!short.contains(tensors[0]["name"].as_str().unwrap()), "{short}");
}

#[test]
fn inspect_says_what_a_model_needs() {
    let report = run(&["inspect", MODEL, "--context", "600", "--json"]).done().json();
    assert_eq!(report["context_tokens"], 600);
    let outlooks = report["outlooks"].as_array().unwrap();
    let lengths: Vec<u64> = outlooks.iter().map(|one| one["memory"]["context_tokens"].as_u64().unwrap()).collect();
    assert!(lengths.contains(&600) && lengths.is_sorted(), "{lengths:?}");
    for outlook in outlooks {
        let memory = &outlook["memory"];
        let part = |name: &str| memory[name].as_u64().unwrap();
        let sum = part("weights_bytes") + part("cache_bytes") + part("scratch_bytes") + part("other_bytes");
        assert_eq!(part("total_bytes"), sum);
        assert_eq!(outlook["cpu"]["fit"], "fits", "this machine has some megabytes free");
    }
    let printed = run(&["inspect", MODEL]).done().stdout;
    for word in ["byte-level BPE", "BF16", "bits a weight", "chat template yes", "On the CPU: "] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    let refused = run(&["inspect", MODEL, "--context", "1000000"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("was made for"), "{}", refused.stderr);
}

#[test]
fn a_model_that_cannot_run_is_shown_with_the_reason() {
    let copy = ModelCopy::new().edit("config.json", |config| config["model_type"] = "mamba".into());
    let ran = run(&["inspect", copy.argument(), "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let [report, failed] = &ran.json_lines()[..] else { panic!("{}", ran.stdout) };
    assert_eq!(failed["code"], report["unsupported"]["code"]);
    assert_eq!((&report["architecture"], &report["is_supported"]), (&"mamba".into(), &false.into()));
    assert_eq!(report["unsupported"]["code"], "unknown_architecture");
    assert!(report["parameters"].as_u64().unwrap() > 1000 && report["outlooks"].as_array().unwrap().is_empty());
    let ran = run(&["inspect", copy.argument()]);
    assert!(ran.code == Some(1) && ran.stdout.contains("It cannot run here."), "{}", ran.stdout);
    assert!(ran.stderr.contains("error: the architecture \"mamba\" is not known"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}

#[test]
fn models_are_added_listed_used_and_removed() {
    let (copy, data) = (ModelCopy::new(), tempfile::tempdir().unwrap());
    let ask = |args: &[&str]| {
        let ran = hearth(args).env("HEARTH_DATA", data.path()).args(["--json", "--device", "cpu"]).output().unwrap();
        let line: Value = serde_json::from_slice(&ran.stdout).unwrap();
        (ran.status.code(), line)
    };
    let (code, added) = ask(&["models", "add", copy.argument()]);
    assert_eq!((code, &added["type"]), (Some(0), &"model_added".into()));
    let name = added["model"].as_str().unwrap();
    let listed = |name: &str| {
        let (_, list) = ask(&["models"]);
        list["models"].as_array().unwrap().iter().find(|model| model["name"] == name).cloned()
    };
    let own = listed(name).unwrap();
    assert_eq!((&own["is_added"], &own["is_missing"]), (&true.into(), &false.into()));
    assert_eq!(listed(MODEL).unwrap()["is_added"], false);
    assert_eq!(ask(&["tokenize", "Hello", "--model", name]).0, Some(0));
    assert_eq!(ask(&["models", "remove", MODEL]).0, Some(1), "what was not added cannot be removed");
    assert_eq!(ask(&["models", "remove", name]).1["type"], "model_removed");
    assert!(listed(name).is_none() && copy.path().join("config.json").is_file());
    assert_eq!(ask(&["models", "add", "/absent/model"]).1["code"], "unknown_model");
}

#[test]
fn bench_measures_what_was_asked_for() {
    let args = ["bench", "--prefill", "16,20", "--depth", "0", "--decode", "4", "--repeat", "2"];
    let report = run(&[&args[..], &["--json"]].concat()).done().json();
    assert_eq!(report["name"], MODEL);
    assert_eq!(report["prefill"].as_array().unwrap().len(), 2);
    let spread = &report["decode"][0]["tokens_per_s"];
    let [median, min, max] = ["median", "min", "max"].map(|key| spread[key].as_f64().unwrap());
    assert!(min > 0.0 && min <= median && median <= max, "{report}");
    for figure in ["prefill_tokens_per_s", "decode_tokens_per_s", "copy_bytes_per_s", "peak_device_bytes"] {
        assert!(report[figure].as_f64().unwrap() > 0.0, "{figure}: {report}");
    }
}

#[test]
fn bench_measures_a_shape_without_files_and_prints_a_table() {
    let shape = ["bench", "--shape", "tiny", "--format", "q6_k", "--threads", "1", "--repeat", "1"];
    let table = run(&[&shape[..], &["--prefill", "8", "--depth", "0,4096", "--decode", "2"]].concat()).done().stdout;
    for words in ["tiny Q6_K", "1 thread", "prefill 8", "decode 2 at 0", "GB/s", "matvec", "skipped: it needs 4098"] {
        assert!(table.contains(words), "{words:?} is not in\n{table}");
    }
    for wrong in [&["--model", "x", "--shape", "tiny"][..], &["--context", "9"], &["--format", "q9"], &["--depth", "x"]]
    {
        assert_eq!(run(&[&["bench"], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}

/// Whoever closes the pipe has read enough: no panic, no complaint.
#[test]
fn a_closed_pipe_ends_the_answer_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["complete", "Once upon a time", "--greedy", "--max-tokens", "1000", "--json", "--device", "cpu"])
        .env("HEARTH_MODELS", models_dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["type"], "token");
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_the_answer_in_order() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["complete", "Once upon a time", "--greedy", "--max-tokens", "1000", "--json", "--device", "cpu"])
        .env("HEARTH_MODELS", models_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["stop_reason"]), (&Value::from("done"), &Value::from("cancelled")));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
