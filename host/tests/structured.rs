//! Answers in a given form, from the command line.

mod common;

use std::io::Write;

use common::{ModelCopy, hearth, run};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const SCHEMA: &str = r#"{"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}, "size": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["colour", "size"], "additionalProperties": false}"#;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

fn check(answer: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{answer:?}: {error}"));
    assert!(["red", "blue"].contains(&answer["colour"].as_str().unwrap()), "{answer}");
    assert!((1..=9).contains(&answer["size"].as_i64().unwrap()), "{answer}");
}

#[test]
fn an_answer_has_the_form_of_its_schema() {
    let schema = file(SCHEMA);
    for form in [SCHEMA, path(&schema)] {
        check(&run(&["chat", "Describe it.", "--greedy", "--json-schema", form]).done().stdout);
        check(&run(&["complete", "It is", "--temperature", "2", "--seed", "5", "--json-schema", form]).done().stdout);
    }
    let events = run(&["chat", "Describe it.", "--greedy", "--json-schema", SCHEMA, "--json"]).done().json_lines();
    let text: String = events.iter().filter_map(|event| event["text"].as_str()).collect();
    check(&text);
    assert_eq!(events.last().unwrap()["stop_reason"], "end_of_turn");
}

#[test]
fn an_answer_matches_its_expression_or_grammar() {
    let answer = run(&["chat", "Yes?", "--greedy", "--regex", "(yes|no), sir"]).done().stdout;
    assert!(["yes, sir\n", "no, sir\n"].contains(&answer.as_str()), "{answer:?}");
    let grammar = file("start: \"<\" WORD \">\"\nWORD: /[a-z]{2,4}/\n");
    let answer = run(&["complete", "The", "--greedy", "--grammar", path(&grammar)]).done().stdout;
    let word =
        answer.trim().strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_else(|| panic!("{answer:?}"));
    assert!((2..=4).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase()), "{answer:?}");
}

#[test]
fn an_answer_that_is_cut_is_no_success() {
    let ran = run(&["chat", "Describe it.", "--greedy", "--max-tokens", "2", "--json-schema", SCHEMA]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains("was cut"), "{}", ran.stderr);
}

#[test]
fn what_contradicts_itself_is_a_usage_error() {
    let wrong: [&[&str]; 6] = [
        &["chat", "Hi", "--json-schema", "{}", "--regex", "a"],
        &["chat", "Hi", "--regex", "a", "--grammar", "a.lark"],
        &["chat", "Hi", "--json-schema", "{}", "--tools", "tools.json"],
        &["chat", "Hi", "--tool-choice", "required"],
        &["complete", "Hi", "--tools", "tools.json"],
        &["chat", "Hi", "--json-schema", "{\"type\": "],
    ];
    for args in wrong {
        let ran = hearth(args).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_form_that_cannot_be_kept_fails_and_says_why() {
    let no_json = file("type: object");
    for (args, named) in [
        (["--json-schema", r#"{"items": {"not": {}}}"#], "#/items/not"),
        (["--json-schema", "/nowhere/schema.json"], "/nowhere/schema.json"),
        (["--json-schema", path(&no_json)], "no JSON"),
        (["--regex", "(?=a)b"], "regular expression"),
        (["--grammar", path(&no_json)], "grammar"),
        (["--tools", path(&no_json)], "no list of tools"),
    ] {
        let ran = run(&[&["chat", "Hi"], &args[..]].concat());
        assert_eq!(ran.code, Some(1), "{args:?}");
        assert!(ran.stderr.contains(named) && ran.stderr.contains("hint: "), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn a_tool_is_called() {
    let template = "{# tools <tool_call> #}{% for m in messages %}{{ m.content }}{% endfor %}{{ tools | tojson }}";
    let copy = ModelCopy::new().edit("tokenizer_config.json", |config| config["chat_template"] = template.into());
    let parameters: Value = serde_json::from_str(SCHEMA).unwrap();
    let paint = json!({"name": "paint", "description": "Paints.", "parameters": parameters});
    for tools in [json!([paint]), json!([{"type": "function", "function": paint}])] {
        let tools = file(&tools.to_string());
        let args =
            ["--model", copy.argument(), "chat", "Paint it.", "--greedy", "--tools", path(&tools), "--tool-choice"];
        for choice in ["required", "paint"] {
            let printed = run(&[&args[..], &[choice]].concat()).done().json();
            assert_eq!(printed["name"], "paint");
            check(&printed["arguments"].to_string());
        }
        let events = run(&[&args[..], &["required", "--json"]].concat()).done().json_lines();
        let call = events.iter().find(|event| event["type"] == "tool_call").expect("it was called");
        assert_eq!((&call["index"], &call["name"]), (&json!(0), &json!("paint")));
        check(&call["arguments"].to_string());
        assert_eq!(events.last().unwrap()["stop_reason"], "tool_calls");
        assert_eq!(run(&[&args[..], &["nobody"]].concat()).code, Some(1));
    }
}
