//! Opening a model: which files there must be.

use hearth_engine::{
    Error,
    file::{Documents, GgufMetadata, MemoryFolder, write_gguf},
};

use crate::files::{hugging_face, open, refusal, safetensors};

fn whole() -> MemoryFolder {
    let header = r#"{"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
    hugging_face().with("model.safetensors", safetensors(header, 4))
}

#[test]
fn documents_come_as_they_are() {
    let model = open(&whole().with("chat_template.jinja", "{{ x }}"), None).unwrap();
    let expected = Documents::HuggingFace {
        config: "{}".to_owned(),
        tokenizer: Some("{}".to_owned()),
        tokenizer_model: None,
        tokenizer_config: None,
        special_tokens_map: None,
        generation_config: None,
        chat_template: Some("{{ x }}".to_owned()),
        more_templates: Vec::new(),
    };
    assert_eq!(model.documents, expected);
    assert_eq!(model.catalog.tensors.len(), 1);
}

#[test]
fn a_file_that_is_missing_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let error = refusal(open(&whole().without(file), None));
        assert_eq!(error, Error::MissingFile { file: file.to_owned() });
    }
    let error = refusal(open(&whole(), Some("model.gguf")));
    assert_eq!(error, Error::MissingFile { file: "model.gguf".to_owned() });
}

#[test]
fn a_document_that_is_not_text_or_too_long_is_refused() {
    let error = refusal(open(&whole().with("config.json", [b'{', 0xFF, b'}']), None));
    assert!(error.to_string().starts_with("config.json") && error.to_string().contains("UTF-8"), "{error}");
    let error = refusal(open(&whole().with("config.json", vec![b' '; (32 << 20) + 1]), None));
    assert!(error.to_string().contains("at most 33554432 are read"), "{error}");
}

#[test]
fn a_tokenizer_beside_a_gguf_file_is_found() {
    let folder = MemoryFolder::new("model").with("m.gguf", write_gguf(&GgufMetadata::default(), &[]));
    let Documents::Gguf { tokenizer, .. } = open(&folder, Some("m.gguf")).unwrap().documents else { panic!() };
    assert_eq!(tokenizer, None);
    let folder = folder.with("tokenizer.json", "{}");
    let Documents::Gguf { tokenizer, .. } = open(&folder, Some("m.gguf")).unwrap().documents else { panic!() };
    assert_eq!(tokenizer.as_deref(), Some("{}"));
}
