//! What the JSON files beside a `tokenizer.json` say about where texts begin and end.

use serde_json::Value;

use crate::{Error, Result};

/// What `tokenizer_config.json`, `generation_config.json` and `config.json` say, as far as they say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HfConfig {
    pub bos_token: Option<String>,
    pub eos_token: Option<String>,
    pub add_bos: Option<bool>,
    pub bos_id: Option<u32>,
    pub eos_ids: Vec<u32>,
    pub chat_template: Option<String>,
}

impl HfConfig {
    /// Reads the texts of the files; of two ids, the one in `generation_config.json` counts.
    pub(super) fn parse(
        tokenizer_config: Option<&str>,
        generation_config: Option<&str>,
        config: Option<&str>,
    ) -> Result<Self> {
        let tokenizer = parse_json("tokenizer_config.json", tokenizer_config)?;
        let generation = parse_json("generation_config.json", generation_config)?;
        let model = parse_json("config.json", config)?;
        let listed = ids(&generation["eos_token_id"]);
        Ok(Self {
            bos_token: token_text(&tokenizer["bos_token"]),
            eos_token: token_text(&tokenizer["eos_token"]),
            add_bos: tokenizer["add_bos_token"].as_bool(),
            bos_id: ids(&generation["bos_token_id"]).into_iter().chain(ids(&model["bos_token_id"])).next(),
            eos_ids: if listed.is_empty() { ids(&model["eos_token_id"]) } else { listed },
            chat_template: template_text(&tokenizer["chat_template"]),
        })
    }
}

fn parse_json(file: &str, text: Option<&str>) -> Result<Value> {
    let Some(text) = text else { return Ok(Value::Null) };
    serde_json::from_str(text).map_err(|error| Error::malformed(file, error))
}

/// A token is written as its text or as an object with its text.
fn token_text(token: &Value) -> Option<String> {
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}

/// Ids are written as a number or as a list of numbers.
fn ids(value: &Value) -> Vec<u32> {
    let to_id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(values) => values.iter().filter_map(to_id).collect(),
        value => to_id(value).into_iter().collect(),
    }
}

/// A template is written as its text or as a list of named ones, of which "default" is for plain conversations.
fn template_text(template: &Value) -> Option<String> {
    let named = template.as_array().into_iter().flatten();
    let default = named.clone().find(|entry| entry["name"] == "default").or_else(|| named.clone().next());
    template.as_str().or_else(|| default?["template"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_read() {
        let config = HfConfig::parse(
            Some(
                r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "special": true}, "add_bos_token": false,
                "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#,
            ),
            Some(r#"{"eos_token_id": [4, 0], "bos_token_id": 0}"#),
            Some(r#"{"eos_token_id": 7, "bos_token_id": null}"#),
        )
        .unwrap();
        let expected = HfConfig {
            bos_token: Some("<s>".to_owned()),
            eos_token: Some("</s>".to_owned()),
            add_bos: Some(false),
            bos_id: Some(0),
            eos_ids: vec![4, 0],
            chat_template: Some("d".to_owned()),
        };
        assert_eq!(config, expected);
        assert_eq!(HfConfig::parse(None, None, Some(r#"{"eos_token_id": 7}"#)).unwrap().eos_ids, [7]);
        assert_eq!(HfConfig::parse(None, None, None).unwrap(), HfConfig::default());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let error = HfConfig::parse(None, Some("{"), None).unwrap_err();
        assert!(error.to_string().starts_with("generation_config.json"), "{error}");
    }
}
