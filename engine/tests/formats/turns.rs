//! Which tokens end an answer, and which of several templates is taken. The tokenizers are made, and their ends told by
//! transformers, in `tests/fixtures/chat.py`.

use hearth_engine::{
    Error,
    file::{Documents, GgufMetadata, GgufValue, TEMPLATE_FILES},
    protocol::{ChatMessage, Role},
    text::{ChatInput, ChatTemplate, Tokenizer},
};
use serde_json::{Value, json};

use crate::{
    files::{hugging_face, open, repository_text, safetensors},
    gguf::metadata,
};

/// The documents of a family, without any of these files.
fn family(name: &str, without: &[&str]) -> Documents {
    let text = |file: &str| {
        let path = format!("tests/fixtures/chat/{name}/{file}");
        let is_there = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(&path).exists();
        (is_there && !without.contains(&file)).then(|| repository_text(&path))
    };
    Documents::HuggingFace {
        config: "{}".to_owned(),
        tokenizer: text("tokenizer.json"),
        tokenizer_model: None,
        tokenizer_config: text("tokenizer_config.json"),
        generation_config: text("generation_config.json"),
        special_tokens_map: None,
        chat_template: text("chat_template.jinja"),
        more_templates: Vec::new(),
    }
}

fn ends(documents: &Documents) -> Vec<u32> {
    Tokenizer::from_documents(documents).unwrap().end_of_turn().to_vec()
}

fn golden_ends(name: &str) -> Vec<u32> {
    let golden: Value = serde_json::from_str(&repository_text("tests/fixtures/chat/ends.json")).unwrap();
    golden[name].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn gguf(name: &str) -> GgufMetadata {
    let bytes = crate::files::repository(&format!("tests/fixtures/chat/{name}.gguf"));
    metadata(crate::files::open_gguf(&bytes).unwrap())
}

#[test]
fn an_answer_ends_where_the_files_and_the_template_say() {
    for name in ["chatml", "llama3", "gemma", "mistral", "phi", "granite", "loops"] {
        assert_eq!(ends(&family(name, &[])), golden_ends(name), "{name}");
    }
}

#[test]
fn the_template_alone_tells_where_a_base_models_configuration_does_not() {
    let id = |name: &str, token: &str| Tokenizer::from_documents(&family(name, &[])).unwrap().id_of(token).unwrap();
    for (name, token) in [("chatml", "<|im_end|>"), ("gemma", "<end_of_turn>"), ("phi", "<|end|>")] {
        let without = ends(&family(name, &["chat_template.jinja"]));
        assert!(!without.contains(&id(name, token)), "{name}: {without:?}");
    }
    // Without a list, the usual names are taken as far as there are such tokens.
    let nothing = family("chatml", &["chat_template.jinja", "generation_config.json", "tokenizer_config.json"]);
    assert_eq!(ends(&nothing), golden_ends("chatml"));
}

#[test]
fn only_special_tokens_end_an_answer() {
    let Documents::HuggingFace { tokenizer: Some(tokenizer), .. } = family("chatml", &[]) else { panic!() };
    let mut plain: Value = serde_json::from_str(&tokenizer).unwrap();
    for token in plain["added_tokens"].as_array_mut().unwrap() {
        token["special"] = json!(token["content"] != "<|im_end|>");
    }
    let mut documents = family("chatml", &[]);
    let Documents::HuggingFace { tokenizer, .. } = &mut documents else { panic!() };
    *tokenizer = Some(plain.to_string());
    assert_eq!(ends(&documents), [257]);
}

#[test]
fn a_mark_that_ends_a_thought_ends_no_answer() {
    let added = |tokens: &[&str]| {
        let mut documents = family("phi", &[]);
        let Documents::HuggingFace { tokenizer: Some(tokenizer), .. } = &mut documents else { panic!() };
        let mut json: Value = serde_json::from_str(tokenizer).unwrap();
        for (at, token) in tokens.iter().enumerate() {
            let like = json["added_tokens"][0].clone();
            let added = json["added_tokens"].as_array_mut().unwrap();
            added.push(like);
            let last = added.last_mut().unwrap();
            last["id"] = json!(300 + at);
            last["content"] = json!(token);
        }
        *tokenizer = json.to_string();
        documents
    };
    let end = 261;
    assert!(ends(&added(&["<|return|>"])).contains(&end));
    assert!(!ends(&added(&["<|return|>", "<|call|>"])).contains(&end));
}

#[test]
fn a_gguf_file_says_it_by_roles() {
    for name in ["llama3", "mistral"] {
        let metadata = gguf(name);
        let documents = Documents::Gguf { metadata: metadata.clone(), tokenizer: None, tokenizer_config: None };
        assert_eq!(ends(&documents), golden_ends(&format!("{name}.gguf")), "{name}");
    }
    // Roles count whatever the tokens are called, and the template beside them.
    let mut metadata = gguf("llama3");
    for (role, id) in [("eos", 3), ("eot", 4), ("eom", 5)] {
        metadata.insert(format!("tokenizer.ggml.{role}_token_id"), GgufValue::U32(id));
    }
    let documents = Documents::Gguf { metadata, tokenizer: None, tokenizer_config: None };
    assert_eq!(ends(&documents), [3, 4, 5, 258, 261, 262]);
}

fn said(template: &ChatTemplate, tools: Option<Vec<Value>>, name: Option<&str>) -> Result<String, Error> {
    let input = ChatInput::new(&[ChatMessage::new(Role::User, "Hi")], false).unwrap();
    template.render_input(&ChatInput { tools, template: name.map(str::to_owned), ..input })
}

#[test]
fn a_list_of_templates_is_chosen_from_by_purpose() {
    let config = json!({"chat_template": [
        {"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}, {"name": "rag", "template": "R"},
    ]});
    let template = ChatTemplate::from_hf(Some(&config.to_string()), None).unwrap().unwrap();
    assert_eq!(said(&template, None, None).unwrap(), "D");
    assert_eq!(said(&template, Some(Vec::new()), None).unwrap(), "T");
    assert_eq!(said(&template, None, Some("rag")).unwrap(), "R");
    assert_eq!(said(&template, Some(Vec::new()), Some("default")).unwrap(), "D");
    let message = said(&template, None, Some("poem")).unwrap_err().to_string();
    assert!(message.contains("none for poem, only for default, tool_use, rag"), "{message}");
    // As transformers: a model with templates for purposes alone has none for plain conversations.
    let config = json!({"chat_template": [{"name": "tool_use", "template": "T"}]});
    let template = ChatTemplate::from_hf(Some(&config.to_string()), None).unwrap().unwrap();
    assert_eq!(said(&template, Some(Vec::new()), None).unwrap(), "T");
    assert!(said(&template, None, None).unwrap_err().to_string().contains("none for plain conversations"));
}

#[test]
fn templates_in_a_folder_of_their_own_replace_those_of_the_configuration() {
    let weights = safetensors(r#"{"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#, 4);
    let folder = hugging_face()
        .with("model.safetensors", weights)
        .with("tokenizer_config.json", r#"{"chat_template": [{"name": "default", "template": "C"}]}"#);
    let template = |folder| {
        let documents = open(&folder, None).unwrap().documents;
        ChatTemplate::from_documents(&documents).unwrap().unwrap()
    };
    assert_eq!(said(&template(folder.clone()), None, None).unwrap(), "C");
    let folder = folder.with("chat_template.jinja", "F").with(TEMPLATE_FILES[2], "T").with(TEMPLATE_FILES[1], "R");
    let both = template(folder.clone());
    assert_eq!(said(&both, None, None).unwrap(), "F");
    assert_eq!(said(&both, Some(Vec::new()), None).unwrap(), "T");
    assert_eq!(said(&both, None, Some("rag")).unwrap(), "R");
    let other = template(folder.clone().with(TEMPLATE_FILES[0], "O"));
    assert_eq!(said(&other, None, None).unwrap(), "O");
    let alone = template(folder.without("chat_template.jinja").without(TEMPLATE_FILES[1]));
    assert_eq!(said(&alone, Some(Vec::new()), None).unwrap(), "T");
    assert!(said(&alone, None, None).is_err());
}

#[test]
fn a_transcript_begins_as_the_models_texts_do() {
    let turns = [(Role::System, "Be brief."), (Role::User, " Hi "), (Role::Assistant, "Hello."), (Role::User, "Bye")];
    let messages = turns.map(|(role, content)| ChatMessage::new(role, content));
    let tokenizer = Tokenizer::from_json(&crate::tokenizer::byte_fallback()).unwrap();
    let template = ChatTemplate::transcript(&tokenizer.beginning());
    let text = template.render(&messages, true).unwrap();
    assert_eq!(text, "<s>Be brief.\n\nUser: Hi\nAssistant: Hello.\nUser: Bye\nAssistant:");
    assert!(template.is_transcript() && template.end_tokens(&tokenizer).is_empty());
    assert_eq!(tokenizer.encode_chat(&template, &messages, true).unwrap()[0], 1);
}
