//! What a model's documents say about it, whether or not this engine knows its architecture.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    file::{Documents, GgufMetadata},
    protocol::{AboutReport, ChatMessage, Role, ShapeReport, TemplateReport},
    text::ChatTemplate,
};

/// The architecture, as the model's file names it; empty if it names none.
pub fn architecture(documents: &Documents) -> String {
    match documents {
        Documents::HuggingFace { config, .. } => {
            let config = parse(config);
            config["model_type"].as_str().or(config["architectures"][0].as_str()).unwrap_or_default().to_owned()
        }
        Documents::Gguf { metadata, .. } => text(metadata, "general.architecture").unwrap_or_default(),
    }
}

/// Who made the model of what.
pub fn about(documents: &Documents) -> AboutReport {
    match documents {
        Documents::HuggingFace { config, .. } => {
            let name = parse(config)["_name_or_path"].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
            AboutReport { name, ..AboutReport::default() }
        }
        Documents::Gguf { metadata, .. } => {
            let of = |key: &str| text(metadata, &format!("general.{key}"));
            AboutReport {
                name: of("name").or_else(|| of("basename")),
                author: of("organization").or_else(|| of("author")).or_else(|| of("base_model.0.organization")),
                license: of("license.name").or_else(|| of("license")),
                base_model: of("base_model.0.name").or_else(|| of("base_model.0.repo_url")),
                description: of("description"),
            }
        }
    }
}

/// The model's sizes.
pub fn shape(documents: &Documents) -> ShapeReport {
    match documents {
        Documents::HuggingFace { config, .. } => shape_of_config(&parse(config)),
        Documents::Gguf { metadata, .. } => shape_of_gguf(metadata),
    }
}

fn shape_of_config(config: &Value) -> ShapeReport {
    // Models that see or hear keep the part that writes in a configuration of its own.
    let part = if config["text_config"].is_object() { &config["text_config"] } else { config };
    let number = |names: &[&str]| {
        names.iter().find_map(|name| part[*name].as_u64()).and_then(|number| u32::try_from(number).ok())
    };
    let hidden = number(&["hidden_size", "n_embd", "d_model"]);
    let heads = number(&["num_attention_heads", "n_head"]);
    let even = |hidden: u32, heads: u32| hidden.checked_div(heads).filter(|dim| dim.checked_mul(heads) == Some(hidden));
    ShapeReport {
        context_tokens: number(&["max_position_embeddings", "n_positions", "n_ctx"]),
        vocab_size: number(&["vocab_size"]),
        hidden,
        layers: number(&["num_hidden_layers", "n_layer"]),
        heads,
        kv_heads: number(&["num_key_value_heads"]).or(heads),
        head_dim: number(&["head_dim"]).or_else(|| hidden.zip(heads).and_then(|(hidden, heads)| even(hidden, heads))),
        feed_forward: number(&["intermediate_size", "n_inner"]),
    }
}

fn shape_of_gguf(metadata: &GgufMetadata) -> ShapeReport {
    let architecture = text(metadata, "general.architecture").unwrap_or_default();
    // Some models have another number for each layer; then there is none that stands for all.
    let number = |name: &str| metadata.find_u32(&format!("{architecture}.{name}")).ok().flatten();
    let hidden = number("embedding_length");
    let heads = number("attention.head_count");
    let tokens = metadata.find_array("tokenizer.ggml.tokens").ok().flatten();
    ShapeReport {
        context_tokens: number("context_length"),
        vocab_size: number("vocab_size").or_else(|| tokens.and_then(|tokens| u32::try_from(tokens.len()).ok())),
        hidden,
        layers: number("block_count"),
        heads,
        kv_heads: number("attention.head_count_kv").or(heads),
        head_dim: number("attention.key_length")
            .or_else(|| hidden.zip(heads).and_then(|(hidden, heads)| hidden.checked_div(heads))),
        feed_forward: number("feed_forward_length"),
    }
}

/// Which kind of tokenizer the model brought.
pub fn tokenizer_kind(documents: &Documents) -> String {
    match documents {
        Documents::HuggingFace { tokenizer: Some(tokenizer), .. } => json_kind(tokenizer),
        Documents::HuggingFace { tokenizer_model: Some(_), .. } => "SentencePiece".to_owned(),
        Documents::HuggingFace { .. } => "none".to_owned(),
        Documents::Gguf { metadata, .. } => {
            let pre = text(metadata, "tokenizer.ggml.pre").map_or_else(String::new, |pre| format!(", {pre}"));
            match text(metadata, "tokenizer.ggml.model").as_deref() {
                Some("gpt2") => format!("byte-level BPE{pre}"),
                Some("llama") => "SentencePiece BPE".to_owned(),
                Some("t5") => "SentencePiece Unigram".to_owned(),
                Some("bert") => "WordPiece".to_owned(),
                Some(other) => other.to_owned(),
                None => "none".to_owned(),
            }
        }
    }
}

/// The parts of a `tokenizer.json` that tell its kind; the vocabulary is skipped.
#[derive(Deserialize)]
struct TokenizerJson {
    model: TokenizerModel,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

#[derive(Deserialize)]
struct TokenizerModel {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    byte_fallback: bool,
}

fn json_kind(tokenizer: &str) -> String {
    let Ok(parsed) = serde_json::from_str::<TokenizerJson>(tokenizer) else { return "unknown".to_owned() };
    let TokenizerModel { kind, byte_fallback } = parsed.model;
    let has_bytes = [&parsed.pre_tokenizer, &parsed.decoder].iter().any(|part| mentions(part, "ByteLevel", 4));
    match kind.as_str() {
        "BPE" if has_bytes => "byte-level BPE".to_owned(),
        "BPE" if byte_fallback => "SentencePiece BPE".to_owned(),
        "Unigram" => "SentencePiece Unigram".to_owned(),
        "" => "unknown".to_owned(),
        _ => kind,
    }
}

/// Whether a part of a tokenizer is of that type, or holds one that is.
fn mentions(part: &Value, kind: &str, depth: u32) -> bool {
    match part {
        _ if depth == 0 => false,
        Value::Object(fields) => {
            fields.get("type").is_some_and(|found| found == kind)
                || fields.values().any(|field| mentions(field, kind, depth - 1))
        }
        Value::Array(parts) => parts.iter().any(|part| mentions(part, kind, depth - 1)),
        _ => false,
    }
}

/// What a chat template knows: whether standing instructions come out of it again, and what it speaks of.
pub fn template(template: &ChatTemplate) -> TemplateReport {
    const MARK: &str = "standing instructions, marked";
    let say = |role, content: &str| ChatMessage::new(role, content);
    let written = template.render(&[say(Role::System, MARK), say(Role::User, "Hello.")], true);
    let source = template.source();
    let mentions = |words: &[&str]| words.iter().any(|word| source.contains(word));
    TemplateReport {
        has_system: written.is_ok_and(|text| text.contains(MARK)),
        has_tools: mentions(&["tools"]),
        has_thinking: mentions(&["enable_thinking", "<think>", "reasoning_content", "thinking"]),
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// A text of the metadata, if it is one and not empty.
fn text(metadata: &GgufMetadata, key: &str) -> Option<String> {
    metadata.find_string(key).ok().flatten().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
