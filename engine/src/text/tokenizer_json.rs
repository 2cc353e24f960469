//! What must be known about a `tokenizer.json` before, and beside, what its own crate makes of it.

use serde::Deserialize;
use serde_json::Value;

use super::sentence_piece::charsmap;
use crate::{Error, Result};

/// The parts of the file that are looked at here; the vocabulary is skipped.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
}

/// Refuses the damages at which the tokenizers crate panics: text that is no JSON, patterns that match nothing, and maps
/// of characters that point out of themselves.
pub(super) fn check(text: &str) -> Result<()> {
    let parts: Parts = serde_json::from_str(text).map_err(|error| Error::Tokenizer { reason: error.to_string() })?;
    if has_empty_pattern(&parts.normalizer) || has_empty_pattern(&parts.pre_tokenizer) {
        return Err(Error::Tokenizer { reason: "it replaces or splits by an empty pattern".to_owned() });
    }
    check_charsmaps(&parts.normalizer)
}

fn check_charsmaps(part: &Value) -> Result<()> {
    match part {
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| match (&**name, field) {
            ("precompiled_charsmap", Value::String(text)) => {
                let bytes = base64::decode(text).map_err(|error| error.to_string());
                bytes
                    .and_then(|bytes| charsmap::check(&bytes).map_err(str::to_owned))
                    .map_err(|reason| Error::Tokenizer { reason })
            }
            _ => check_charsmaps(field),
        }),
        Value::Array(parts) => parts.iter().try_for_each(check_charsmaps),
        _ => Ok(()),
    }
}

fn has_empty_pattern(part: &Value) -> bool {
    match part {
        Value::Object(fields) => fields.iter().any(|(name, field)| match &**name {
            "pattern" => ["String", "Regex"].iter().any(|kind| field[*kind] == ""),
            _ => has_empty_pattern(field),
        }),
        Value::Array(parts) => parts.iter().any(has_empty_pattern),
        _ => false,
    }
}

/// The tokens that a `post_processor` puts before a text.
pub(super) fn prefix(post_processor: &Value) -> Vec<u32> {
    let to_id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    match post_processor["type"].as_str() {
        Some("TemplateProcessing") => {
            let pieces = post_processor["single"].as_array().into_iter().flatten();
            let specials = pieces.map_while(|piece| piece["SpecialToken"]["id"].as_str());
            let ids = specials.flat_map(|name| post_processor["special_tokens"][name]["ids"].as_array());
            ids.flatten().filter_map(to_id).collect()
        }
        // `cls` is a token and its id.
        Some("BertProcessing" | "RobertaProcessing") => to_id(&post_processor["cls"][1]).into_iter().collect(),
        // Each processor wraps what the ones before it made.
        Some("Sequence") => {
            post_processor["processors"].as_array().into_iter().flatten().rev().flat_map(prefix).collect()
        }
        _ => Vec::new(),
    }
}

/// The tokens that a `post_processor` puts behind a text.
pub(super) fn suffix(post_processor: &Value) -> Vec<u32> {
    let to_id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    match post_processor["type"].as_str() {
        Some("TemplateProcessing") => {
            let pieces = post_processor["single"].as_array().into_iter().flatten();
            let behind = pieces.skip_while(|piece| piece["Sequence"].is_null());
            let specials = behind.filter_map(|piece| piece["SpecialToken"]["id"].as_str());
            let ids = specials.flat_map(|name| post_processor["special_tokens"][name]["ids"].as_array());
            ids.flatten().filter_map(to_id).collect()
        }
        Some("BertProcessing" | "RobertaProcessing") => to_id(&post_processor["sep"][1]).into_iter().collect(),
        Some("Sequence") => post_processor["processors"].as_array().into_iter().flatten().flat_map(suffix).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_prefix_is_what_stands_before_the_text() {
        let special = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
        let template = json!({"type": "TemplateProcessing",
            "single": [special("a"), special("b"), {"Sequence": {"id": "A", "type_id": 0}}, special("c")],
            "special_tokens": {"a": {"ids": [1]}, "b": {"ids": [2, 3]}, "c": {"ids": [4]}}});
        assert_eq!(prefix(&template), [1, 2, 3]);
        assert_eq!(suffix(&template), [4]);
        let roberta = json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]});
        assert_eq!(suffix(&json!({"type": "Sequence", "processors": [&template, roberta]})), [4, 2]);
        let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 8], "cls": ["[CLS]", 7]});
        assert_eq!(
            prefix(&json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template, bert]})),
            [7, 1, 2, 3]
        );
        let without_ids = json!({"type": "TemplateProcessing", "single": [special("a")], "special_tokens": {}});
        assert!(prefix(&without_ids).is_empty());
        assert!(prefix(&Value::Null).is_empty());
    }

    #[test]
    fn empty_patterns_are_refused_wherever_they_are() {
        let with = |pattern: Value| {
            json!({"normalizer": {"normalizers": [{"type": "Replace", "pattern": pattern}]}, "model": {"a": 1}})
                .to_string()
        };
        assert!(check(&with(json!({"String": ""}))).is_err() && check(&with(json!({"Regex": ""}))).is_err());
        assert!(check(&with(json!({"String": " "}))).is_ok() && check("{}").is_ok() && check("{").is_err());
    }

    #[test]
    fn a_map_of_characters_must_stay_within_itself() {
        let with = |map: &str| json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": map}}).to_string();
        assert!(check(&with("////f////39/")).is_err() && check(&with("*")).is_err() && check(&with("")).is_err());
    }
}
