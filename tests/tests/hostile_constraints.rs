//! Forms that cannot be kept, or are made to do harm: refused with words, or survived.

use std::sync::LazyLock;

use hearth_engine::{Error, protocol::Constraint};
use hearth_tests::structured::Babbler;
use serde_json::json;

static BABBLER: LazyLock<Babbler> = LazyLock::new(|| Babbler::new("models/hearth-tiny"));

fn refusal(constraint: &Constraint) -> String {
    match BABBLER.compile(constraint) {
        Err(error @ Error::Constraint { .. }) => error.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{constraint:?} was taken"),
    }
}

#[test]
fn what_is_wrong_with_a_schema_is_named() {
    for (schema, named) in [
        (json!(false), "must be an object"),
        (json!([]), "must be an object"),
        (json!({"type": "strnig"}), "#/type"),
        (json!({"properties": {"a/b": {"minimum": "\u{e9}".repeat(200)}}}), "#/properties/a~1b/minimum"),
        (json!({"pattern": 5}), "#/pattern"),
        (json!({"pattern": "("}), "("),
        (json!({"format": "json-pointer"}), "json-pointer"),
        (json!({"items": {"not": {}}}), "#/items/not"),
        (json!({"type": "array", "uniqueItems": true}), "#/uniqueItems"),
        (json!({"if": {}, "then": {}}), "#/if"),
        (json!({"$ref": "https://example.org/a.json"}), "#/$ref"),
        (json!({"$ref": "#/$defs/a"}), "#/$defs/a, which is missing"),
        (json!({"minProperties": 2}), "#/minProperties"),
        (json!({"type": "string", "minLength": 3, "maxLength": 2}), "minLength"),
        (json!({"type": "integer", "minimum": 2, "maximum": 1}), "minimum"),
        (json!({"enum": []}), "#/enum"),
        (json!({"multipleOf": 0}), "#/multipleOf"),
        (json!({"$ref": "#"}), "has no end"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), "has no end"),
        (json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}), "has no end"),
        (
            json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
            "has no end",
        ),
        (json!({"minItems": 1e300}), "#/minItems"),
        (json!({"required": "a"}), "#/required"),
        (json!({"x-guidance": {"lenient": true}}), "#/x-guidance"),
        (json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "oneOf"),
        (json!({"x": {"minimum": "\u{e9}".repeat(200)}, "$ref": "#/x"}), "#/x/minimum"),
    ] {
        let said = refusal(&Constraint::JsonSchema { schema: schema.clone() });
        assert!(said.contains(named), "{schema}: {said}");
    }
    for pattern in ["", "(", "a{5", "(?=a)b", r"\bword", "[z-a]"] {
        refusal(&Constraint::Regex { pattern: pattern.into() });
    }
    for grammar in ["", "start: x", "start: /(/", "start: %json {\"type\": 5}", "start: %json", "\u{0}"] {
        refusal(&Constraint::Lark { grammar: grammar.into() });
    }
}

/// Compiling ends, in an error or a grammar, with little memory and no panic.
#[test]
fn hostile_constraints_are_survived() {
    let nest = |levels: usize, open: &str, close: &str| format!("{}{{}}{}", open.repeat(levels), close.repeat(levels));
    let chain = |links: usize| {
        let link = |index: usize| {
            (format!("d{index}"), json!({"properties": {"a": {"$ref": format!("#/$defs/d{}", (index + 1) % links)}}}))
        };
        json!({"$ref": "#/$defs/d0", "$defs": (0..links).map(link).collect::<serde_json::Map<_, _>>()})
    };
    let mut schemas = vec![
        json!({"$ref": "#"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a", "type": "object"}}, "$ref": "#/$defs/a"}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"], "additionalProperties": false}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"type": "string", "maxLength": u32::MAX, "minLength": 10_000}),
        json!({"type": "string", "pattern": "((a{900}){900}){900}"}),
        json!({"type": "string", "pattern": "(a|aa)+(b|bb)+(a|ab)*$", "minLength": 5000, "maxLength": 9000}),
        json!({"type": "array", "minItems": 10_000, "maxItems": 10_000, "items": {"type": "array", "minItems": 10_000}}),
        json!({"enum": (0..1000).map(|index| "x".repeat(index % 90)).collect::<Vec<_>>()}),
        json!({"properties": (0..256).map(|index| (format!("p{index}"), json!({"type": "integer"}))).collect::<serde_json::Map<_, _>>()}),
        json!({"allOf": (0..40).map(|index| json!({"anyOf": [{"multipleOf": 7}, {"minimum": index}, {"maxLength": index}]})).collect::<Vec<_>>()}),
        json!({"type": "number", "minimum": -1e19, "maximum": 1e-15}),
        json!({"type": "integer", "multipleOf": 999_999}),
        chain(30),
        chain(2000),
    ];
    for (levels, open, close) in [
        (20, "{\"items\": ", "}"),
        (100, "{\"items\": ", "}"),
        (30, "{\"anyOf\": [", "]}"),
        (40, "{\"properties\": {\"a\": ", "}}"),
    ] {
        schemas.push(serde_json::from_str(&nest(levels, open, close)).expect("it is JSON"));
    }
    for schema in schemas {
        let constraint = Constraint::JsonSchema { schema };
        match BABBLER.text(&constraint, 1, 20) {
            Ok(_) | Err(Error::Constraint { .. }) => {}
            Err(other) => panic!("{constraint:?}: {other:?}"),
        }
    }
    let deep = format!("start: {}\"a\"{}", "(".repeat(30_000), ")".repeat(30_000));
    for grammar in [
        &deep,
        "start: start",
        "start: a\na: b\nb: a",
        "start: start start | \"a\"",
        "start: (\"a\"{1000}){1000}",
        "start: \"\"*",
    ] {
        match BABBLER.text(&Constraint::Lark { grammar: grammar.to_owned() }, 1, 20) {
            Ok(_) | Err(Error::Constraint { .. }) => {}
            Err(other) => panic!("{grammar:.40}: {other:?}"),
        }
    }
    for pattern in [
        format!("{}a{}", "(".repeat(9000), ")".repeat(9000)),
        "((a{1000}){1000}){1000}".into(),
        "(x+x+)+y".into(),
        ".{0,60000}".into(),
    ] {
        match BABBLER.text(&Constraint::Regex { pattern: pattern.clone() }, 1, 20) {
            Ok(_) | Err(Error::Constraint { .. }) => {}
            Err(other) => panic!("{pattern:.40}: {other:?}"),
        }
    }
}
