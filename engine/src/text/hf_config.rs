//! What the JSON files beside a `tokenizer.json` say about where texts begin and end.

use serde_json::Value;

use crate::{Error, Result};

/// What `tokenizer_config.json`, `generation_config.json` and `config.json` say, as far as they say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HfConfig {
    pub bos_token: Option<String>,
    pub eos_token: Option<String>,
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    pub bos_id: Option<u32>,
    pub eos_ids: Vec<u32>,
    /// `bos_token` and the like, with their texts.
    pub special_tokens: Vec<(String, String)>,
    pub chat_templates: Vec<NamedTemplate>,
}

/// A template and what it is for: "default", "tool_use", ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedTemplate {
    pub name: String,
    pub source: String,
}

/// Tokens that a configuration gives a role, and that templates know by it.
const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

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
            add_eos: tokenizer["add_eos_token"].as_bool(),
            bos_id: ids(&generation["bos_token_id"]).into_iter().chain(ids(&model["bos_token_id"])).next(),
            eos_ids: if listed.is_empty() { ids(&model["eos_token_id"]) } else { listed },
            special_tokens: special_tokens(&tokenizer),
            chat_templates: templates(&tokenizer["chat_template"]),
        })
    }

    /// Fills in the tokens that only `special_tokens_map.json` names.
    pub(super) fn or_tokens(mut self, special_tokens_map: Option<&str>) -> Result<Self> {
        let map = parse_json("special_tokens_map.json", special_tokens_map)?;
        for (role, token) in special_tokens(&map) {
            if !self.special_tokens.iter().any(|(known, _)| *known == role) {
                self.special_tokens.push((role, token));
            }
        }
        self.bos_token = self.bos_token.or_else(|| token_text(&map["bos_token"]));
        self.eos_token = self.eos_token.or_else(|| token_text(&map["eos_token"]));
        Ok(self)
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

fn special_tokens(config: &Value) -> Vec<(String, String)> {
    ROLES.iter().filter_map(|role| Some(((*role).to_owned(), token_text(&config[*role])?))).collect()
}

/// A template is written as its text or as a list of named ones.
fn templates(template: &Value) -> Vec<NamedTemplate> {
    let named = |name: &Value, source: &Value| {
        Some(NamedTemplate { name: name.as_str()?.to_owned(), source: source.as_str()?.to_owned() })
    };
    match template {
        Value::Array(entries) => entries.iter().filter_map(|entry| named(&entry["name"], &entry["template"])).collect(),
        template => named(&"default".into(), template).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_read() {
        let config = HfConfig::parse(
            Some(
                r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "special": true}, "add_bos_token": false, "add_eos_token": true,
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
            add_eos: Some(true),
            bos_id: Some(0),
            eos_ids: vec![4, 0],
            special_tokens: [("bos_token", "<s>"), ("eos_token", "</s>")]
                .map(|(role, token)| (role.to_owned(), token.to_owned()))
                .to_vec(),
            chat_templates: [("tool_use", "t"), ("default", "d")]
                .map(|(name, source)| NamedTemplate { name: name.to_owned(), source: source.to_owned() })
                .to_vec(),
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
