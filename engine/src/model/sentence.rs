//! How an encoder's vectors of tokens become one of a text: what the sentence-transformers files and a GGUF say, and
//! what is taken where they say nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::EmbedderConfig;
use crate::{
    Error, Result,
    file::{Documents, EmbeddingDocuments, OpenedModel},
    protocol::{Pooling, TextKind},
};

/// Without a wish from the person, no more tokens than this are made room for: most encoders were trained on so many,
/// and what attention takes grows with their square.
const TOKENS_DEFAULT_MAX: u32 = 512;

/// What is done to a text before the encoder, and to its vectors behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceConfig {
    /// How the tokens' vectors become one.
    pub pooling: Pooling,
    /// Tokens of the longest text that the publisher lets through; None: as many as there are positions.
    pub tokens_max: Option<u32>,
    /// Whether texts are put into lower case before the tokenizer sees them.
    pub lowercase: bool,
    /// Words before a text, by name: "query", "document", "passage".
    prompts: BTreeMap<String, String>,
    /// The name of the words before a text whose kind is not known.
    default_prompt: Option<String>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize, Default)]
struct SentenceFile {
    max_seq_length: Option<u32>,
    do_lower_case: Option<bool>,
}

#[derive(Deserialize, Default)]
struct PromptFile {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

impl SentenceConfig {
    /// Reads and checks what the files say.
    pub fn read(opened: &OpenedModel, config: &EmbedderConfig) -> Result<Self> {
        let EmbeddingDocuments { modules, pooling, sentence, prompts } = &opened.embedding;
        if let Some(modules) = modules {
            check_modules(&parse::<Vec<Module>>("modules.json", modules)?)?;
        }
        let named = pooling.as_deref().map(|text| pooling_of(&parse("1_Pooling/config.json", text)?)).transpose()?;
        let sentence: SentenceFile = find("sentence_bert_config.json", sentence.as_deref())?;
        let prompts: PromptFile = find("config_sentence_transformers.json", prompts.as_deref())?;
        let pooling = match (named, config.gguf_pooling()) {
            (Some(pooling), _) => pooling,
            (None, Some(kind)) => gguf_pooling(kind)?.unwrap_or(config.usual_pooling()),
            (None, None) => config.usual_pooling(),
        };
        Ok(Self {
            pooling,
            tokens_max: sentence.max_seq_length.or(tokenizer_max(&opened.documents)?),
            lowercase: sentence.do_lower_case.unwrap_or(false),
            prompts: prompts.prompts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect(),
            default_prompt: prompts.default_prompt_name,
        })
    }

    /// The words before a text of that kind; empty if the model wants none.
    pub fn prompt(&self, kind: Option<TextKind>) -> &str {
        let names: &[&str] = match kind {
            Some(TextKind::Query) => &["query"],
            Some(TextKind::Document) => &["document", "passage"],
            None => &[],
        };
        let mut names = names.iter().copied().chain(self.default_prompt.as_deref());
        names.find_map(|name| self.prompts.get(name)).map_or("", String::as_str)
    }

    /// How many tokens of a text to make room for.
    pub fn plan_tokens(&self, config: &EmbedderConfig, wanted: Option<u32>) -> Result<u32> {
        // Two of them begin and end a text; without a third there would be nothing between.
        const LEAST: u32 = 3;
        let positions = config.positions();
        let most = self.tokens_max.map_or(positions, |most| most.clamp(LEAST, positions.max(LEAST)));
        match wanted {
            None => Ok(most.min(positions).min(TOKENS_DEFAULT_MAX)),
            Some(wanted) if (LEAST..=positions).contains(&wanted) => Ok(wanted),
            Some(wanted) => Err(Error::invalid(
                "context_tokens",
                format!("is {wanted}, but the model reads {LEAST} to {positions} at once"),
            )),
        }
    }
}

/// Refuses modules without which the vectors would be others.
fn check_modules(modules: &[Module]) -> Result<()> {
    let last_part = |module: &Module| module.kind.rsplit('.').next().unwrap_or_default().to_owned();
    match modules.iter().map(last_part).find(|kind| !["Transformer", "Pooling", "Normalize"].contains(&kind.as_str())) {
        None => Ok(()),
        Some(other) => Err(Error::config("modules.json", format!("asks for a {other:?}, which is not supported"))),
    }
}

/// The one pooling that the file turns on, in its older or its newer way of writing.
fn pooling_of(file: &Value) -> Result<Pooling> {
    let refused = |what: &str| Err(Error::config("1_Pooling/config.json", format!("asks for {what}")));
    let older = file.as_object().into_iter().flatten().filter(|(_, value)| **value == true);
    let mut names = older.filter_map(|(name, _)| name.strip_prefix("pooling_mode_"));
    let name = match (file["pooling_mode"].as_str(), names.next(), names.next()) {
        (Some(name), ..) | (None, Some(name), None) => name,
        (None, None, _) => return refused("no pooling at all"),
        (None, Some(_), Some(_)) => return refused("several poolings at once, which is not supported"),
    };
    match name {
        "mean" | "mean_tokens" if file["include_prompt"] == false => {
            refused("a mean without the prompt's tokens, which is not supported")
        }
        "mean" | "mean_tokens" => Ok(Pooling::Mean),
        "cls" | "cls_token" => Ok(Pooling::Cls),
        "lasttoken" => Ok(Pooling::Last),
        other => refused(&format!("{other:?}, which is not supported")),
    }
}

/// llama.cpp's numbers (`LLAMA_POOLING_TYPE`); 0 leaves the choice open.
fn gguf_pooling(kind: u32) -> Result<Option<Pooling>> {
    match kind {
        0 => Ok(None),
        1 => Ok(Some(Pooling::Mean)),
        2 => Ok(Some(Pooling::Cls)),
        3 => Ok(Some(Pooling::Last)),
        other => Err(Error::config("pooling_type", format!("is {other}, which is not supported"))),
    }
}

/// The tokenizer's own limit, which some write as a number beyond all texts.
fn tokenizer_max(documents: &Documents) -> Result<Option<u32>> {
    let (Documents::HuggingFace { tokenizer_config: text, .. } | Documents::Gguf { tokenizer_config: text, .. }) =
        documents;
    let Some(text) = text else { return Ok(None) };
    let file: Value = parse("tokenizer_config.json", text)?;
    Ok(file["model_max_length"].as_u64().and_then(|most| u32::try_from(most).ok()).filter(|most| *most > 0))
}

fn parse<'a, T: Deserialize<'a>>(name: &str, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::malformed(name, error))
}

fn find<'a, T: Deserialize<'a> + Default>(name: &str, text: Option<&'a str>) -> Result<T> {
    text.map_or_else(|| Ok(T::default()), |text| parse(name, text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ways_of_writing_a_pooling_are_read() {
        let older = json!({"word_embedding_dimension": 384, "pooling_mode_cls_token": true,
            "pooling_mode_mean_tokens": false, "pooling_mode_max_tokens": false});
        assert_eq!(pooling_of(&older), Ok(Pooling::Cls));
        assert_eq!(pooling_of(&json!({"pooling_mode_lasttoken": true, "include_prompt": true})), Ok(Pooling::Last));
        assert_eq!(pooling_of(&json!({"embedding_dimension": 384, "pooling_mode": "mean"})), Ok(Pooling::Mean));
        for unknown in [
            json!({"pooling_mode_max_tokens": true}),
            json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}),
            json!({"pooling_mode_mean_tokens": true, "include_prompt": false}),
            json!({}),
            json!([1]),
        ] {
            let error = pooling_of(&unknown).unwrap_err();
            assert!(error.to_string().contains("1_Pooling/config.json"), "{unknown}: {error}");
        }
    }

    #[test]
    fn a_module_that_changes_the_vectors_is_refused() {
        let modules = |kind: &str| {
            let text = json!([{"type": "sentence_transformers.models.Transformer"}, {"type": kind}]).to_string();
            check_modules(&parse::<Vec<Module>>("modules.json", &text).unwrap())
        };
        assert_eq!(modules("sentence_transformers.models.Normalize"), Ok(()));
        assert!(modules("sentence_transformers.models.Dense").unwrap_err().to_string().contains("Dense"));
    }

    #[test]
    fn the_words_before_a_text_follow_its_kind() {
        let prompts = [("query", "ask: "), ("passage", "find: "), ("other", "any: ")];
        let mut sentence = SentenceConfig {
            pooling: Pooling::Mean,
            tokens_max: None,
            lowercase: false,
            prompts: prompts.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            default_prompt: None,
        };
        let prompt = |sentence: &SentenceConfig, kind| sentence.prompt(kind).to_owned();
        assert_eq!(prompt(&sentence, Some(TextKind::Query)), "ask: ");
        assert_eq!(prompt(&sentence, Some(TextKind::Document)), "find: ");
        assert_eq!(prompt(&sentence, None), "");
        sentence.default_prompt = Some("other".to_owned());
        assert_eq!(prompt(&sentence, None), "any: ");
    }
}
