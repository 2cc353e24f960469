//! Answers in a given form: whatever is drawn, they parse and validate, as another implementation sees it.

use std::sync::LazyLock;

use hearth_engine::protocol::{
    ChatMessage, Constraint, DeviceChoice, Event, GenerateRequest, Prompt, Request, Role, Sampling, StopReason,
};
use hearth_tests::{
    platform::{Host, last, text},
    structured::{Babbler, Random},
};
use serde_json::{Value, json};

const MODEL: &str = "models/hearth-tiny";

static BABBLER: LazyLock<Babbler> = LazyLock::new(|| Babbler::new(MODEL));

fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (
            "required",
            json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
            "required": ["name", "age"], "additionalProperties": false}),
        ),
        (
            "optional",
            json!({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}}, "required": ["b"]}),
        ),
        ("enum", json!({"enum": ["red", "green", 3, null, 1.5, {"x": [true]}, "\u{e9}\"\\"]})),
        ("array", json!({"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 4})),
        (
            "nested",
            json!({"type": "object", "required": ["at"], "properties": {"at": {"type": "object",
            "properties": {"x": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 6}, "maxItems": 3}},
            "required": ["x", "tags"], "additionalProperties": false}}, "additionalProperties": false}),
        ),
        (
            "numbers",
            json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}, {"type": "integer", "multipleOf": 5},
            {"type": "number", "multipleOf": 0.25}, {"minimum": -1.5, "type": "number"}], "items": false, "minItems": 5}),
        ),
        (
            "references",
            json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"value": {"$ref": "#/$defs/value"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}}, "required": ["value"], "additionalProperties": false},
            "value": {"type": "integer", "maximum": 9}}}),
        ),
        (
            "choices",
            json!({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0}},
            "required": ["kind", "radius"], "additionalProperties": false}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}]}),
        ),
        (
            "one of",
            json!({"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"], "additionalProperties": false},
            {"type": "object", "properties": {"k": {"const": "b"}, "n": {"type": "integer"}}, "required": ["k", "n"], "additionalProperties": false}]}),
        ),
        ("pattern", json!({"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}$"})),
        ("unanchored", json!({"type": "string", "pattern": "a+b", "maxLength": 12})),
        ("lengths", json!({"type": "string", "minLength": 3, "maxLength": 5})),
        ("any object", json!({"type": "object"})),
        ("anything", json!(true)),
        (
            "additional",
            json!({"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": {"type": "string", "maxLength": 4}, "required": ["id"]}),
        ),
        (
            "names",
            json!({"type": "object", "patternProperties": {"^s_": {"type": "string", "maxLength": 4}, "^n_": {"type": "integer"}}, "additionalProperties": false}),
        ),
        ("several types", json!({"type": ["integer", "string", "null"], "maxLength": 4, "minimum": 10})),
        (
            "all of",
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"a": {"minimum": 5}, "b": {"type": "string", "maxLength": 3}}, "required": ["b"]}]}),
        ),
    ]
}

fn check(name: &str, schema: &Value, answer: &str) {
    let value: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{name}: {answer:?}: {error}"));
    let validator = jsonschema::options().should_validate_formats(true).build(schema).expect("the schema is sound");
    let wrong: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{name}: {answer:?}: {wrong:?}");
}

#[test]
fn whatever_is_drawn_validates() {
    for (name, schema) in schemas() {
        let constraint = Constraint::JsonSchema { schema: schema.clone() };
        let mut ended = 0;
        for seed in 0..50 {
            let drawn = BABBLER.text(&constraint, seed, 400).unwrap_or_else(|error| panic!("{name}: {error}"));
            if let Some(answer) = drawn {
                check(name, &schema, &answer);
                ended += 1;
            }
        }
        assert!(ended >= 40, "{name}: {ended} of 50 came to an end");
    }
}

#[test]
fn formats_are_kept_as_a_validator_sees_them() {
    for format in
        ["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri", "no-such-format"]
    {
        let schema = json!({"type": "string", "format": format, "maxLength": 120});
        let constraint = Constraint::JsonSchema { schema: schema.clone() };
        let answers = (0..50).filter_map(|seed| BABBLER.text(&constraint, seed, 400).unwrap());
        let ended = answers.inspect(|answer| check(format, &schema, answer)).count();
        assert!(ended >= 40, "{format}: {ended} of 50 came to an end");
    }
}

/// A grammar of JSON has no end of digits, and none of exponents; readers have.
#[test]
fn numbers_stay_readable_for_one_who_loves_digits() {
    let numbers =
        json!({"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 3});
    let integers = json!({"type": "array", "items": {"type": "integer"}, "minItems": 1});
    let free = json!({"type": "array", "items": {"type": "number"}, "minItems": 3});
    let too_long = regex::Regex::new("[0-9]{16}|[eE][+-]?[0-9]{3}").unwrap();
    for (likes, schema) in [("0123456789.", numbers), ("0123456789", integers), ("eE0123456789", free)] {
        let babbler = Babbler::new(MODEL).liking(likes.as_bytes());
        let constraint = Constraint::JsonSchema { schema: schema.clone() };
        for seed in 0..50 {
            if let Some(answer) = babbler.text(&constraint, seed, 300).unwrap() {
                check("numbers", &schema, &answer);
                assert!(!too_long.is_match(&answer), "{answer}");
            }
        }
    }
    let babbler = Babbler::new(MODEL).liking(b"0123456789");
    // Where the schema asks for more digits than that, it gets them.
    let constraint = Constraint::JsonSchema { schema: json!({"type": "integer", "minimum": 1e17, "maximum": 2e17}) };
    let answer = babbler.text(&constraint, 1, 100).unwrap().unwrap();
    assert_eq!(answer.len(), 18, "{answer}");
}

#[test]
fn brackets_stay_shallow_for_one_who_loves_them() {
    let babbler = Babbler::new(MODEL).liking(b"[");
    let schema = json!({"type": "array", "items": {"$ref": "#"}});
    let constraint = Constraint::JsonSchema { schema: schema.clone() };
    let ended = (0..10).filter_map(|seed| babbler.text(&constraint, seed, 800).unwrap());
    assert!(ended.inspect(|answer| check("brackets", &schema, answer)).count() >= 5);
}

#[test]
fn regular_expressions_match_as_a_whole() {
    for pattern in [
        "(yes|no|maybe)",
        "[a-z]{3,8}",
        r"\d{4}-\d{2}",
        "^a|b$",
        "(ab)+c?",
        r"/\w{1,6}/[^/]{1,5}",
        "[\u{3b1}-\u{3c9}]{2}",
        r"x\$$",
        "a.c",
    ] {
        let constraint = Constraint::Regex { pattern: pattern.into() };
        let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        for seed in 0..50 {
            let answer = BABBLER.text(&constraint, seed, 200).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            let answer = answer.unwrap_or_else(|| panic!("{pattern} did not end"));
            assert!(whole.is_match(&answer), "{pattern}: {answer:?}");
        }
    }
}

/// A schema of some size, with keywords that suit its type.
fn random_schema(random: &mut Random, depth: usize) -> Value {
    let kinds = if depth == 0 { 6 } else { 9 };
    match random.below(kinds) {
        0 => json!({"type": "boolean"}),
        1 => {
            let low = random.below(2000) as i64 - 1000;
            json!({"type": "integer", "minimum": low, "maximum": low + random.below(5000) as i64})
        }
        2 => json!({"type": "number", "exclusiveMinimum": -(random.below(100) as f64) / 8.0}),
        3 => {
            let low = random.below(4);
            json!({"type": "string", "minLength": low, "maxLength": low + random.below(8)})
        }
        4 => json!({"enum": [random.below(100), "a", format!("{}\n\"", random.below(10)), null]}),
        5 => json!({"type": ["null", "string"], "pattern": "^[a-f0-9]{1,6}$"}),
        6 => {
            json!({"type": "array", "items": random_schema(random, depth - 1), "minItems": random.below(2), "maxItems": 1 + random.below(3)})
        }
        7 => json!({"anyOf": [random_schema(random, depth - 1), random_schema(random, depth - 1)]}),
        _ => {
            let mut properties = serde_json::Map::new();
            let mut required = Vec::new();
            for index in 0..random.below(4) {
                let name = ["id", "na\u{ef}ve", "a b", "q\"\\"][index];
                properties.insert(name.into(), random_schema(random, depth - 1));
                if random.below(2) == 0 {
                    required.push(name);
                }
            }
            let additional = [json!(false), json!({"type": "integer", "maximum": 99})][random.below(2)].clone();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": additional})
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_schemas_are_kept(seed: u64) {
        let schema = random_schema(&mut Random(seed), 3);
        let constraint = Constraint::JsonSchema { schema: schema.clone() };
        match BABBLER.text(&constraint, seed, 300) {
            Ok(Some(answer)) => check(&schema.to_string(), &schema, &answer),
            Ok(None) => {}
            Err(error) => panic!("{schema}: {error}"),
        }
    }
}

fn ask(host: &Host, constraint: &Constraint, sampling: Sampling, max_tokens: u32) -> (String, StopReason) {
    let messages = vec![ChatMessage::new(Role::User, "Describe a small house by the sea.")];
    let events = host.ask(Request::Generate(GenerateRequest {
        prompt: Prompt::Chat { messages },
        max_tokens: Some(max_tokens),
        sampling,
        constraint: Some(constraint.clone()),
        ..GenerateRequest::default()
    }));
    let answer = text(&events);
    match last(events) {
        Event::Done(done) => (answer, done.stop_reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_bundled_model_keeps_the_form_greedy_and_wild() {
    let host = Host::with_model(MODEL, DeviceChoice::Cpu, Some(512));
    for (name, schema) in
        schemas().into_iter().filter(|(name, _)| ["required", "enum", "nested", "choices", "pattern"].contains(name))
    {
        let constraint = Constraint::JsonSchema { schema: schema.clone() };
        let wild = |seed| Sampling {
            temperature: 2.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: Some(seed),
            ..Sampling::default()
        };
        let mut ended = 0;
        for sampling in (0..50).map(wild).chain([Sampling::greedy()]) {
            match ask(&host, &constraint, sampling, 80) {
                (answer, StopReason::EndOfTurn) => {
                    check(name, &schema, &answer);
                    ended += 1;
                }
                (_, reason) => assert_eq!(reason, StopReason::MaxTokens, "{name}"),
            }
        }
        assert!(ended >= 10, "{name}: {ended} of 51 came to an end");
    }
}

#[test]
fn the_form_is_kept_on_every_device() {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false});
    for device in [DeviceChoice::Cpu, DeviceChoice::Gpu] {
        let host = Host::with_model("tests/fixtures/tiny-llama", device, Some(128));
        for seed in 0..5 {
            let wild = Sampling {
                temperature: 2.0,
                top_k: 0,
                top_p: 1.0,
                min_p: 0.0,
                seed: Some(seed),
                ..Sampling::default()
            };
            let (answer, reason) = ask(&host, &Constraint::JsonSchema { schema: schema.clone() }, wild, 60);
            assert_eq!(reason, StopReason::EndOfTurn, "{answer:?}");
            check("every device", &schema, &answer);
        }
    }
}

#[test]
fn an_answer_that_is_cut_says_so() {
    let host = Host::with_model(MODEL, DeviceChoice::Cpu, Some(512));
    let schema = json!({"type": "string", "minLength": 500});
    let (answer, reason) = ask(&host, &Constraint::JsonSchema { schema }, Sampling::greedy(), 5);
    assert!(answer.starts_with('"') && reason == StopReason::MaxTokens, "{answer:?}");
}
