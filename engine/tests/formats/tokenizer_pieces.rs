//! Vocabularies of other kinds, against the tokens that their own libraries cut (`tests/fixtures/make_tokenizers.py`).

use hearth_engine::{
    Error,
    file::{Documents, GgufArray, GgufMetadata, GgufValue},
    text::{EncodeOptions, Tokenizer},
};
use proptest::prelude::*;

use crate::files::{repository, repository_text};

const FOLDER: &str = "tests/fixtures/tokenizers";

/// Texts and ids of one vocabulary.
fn cases(name: &str) -> Vec<(String, Vec<u32>)> {
    let cases: serde_json::Value = serde_json::from_str(&repository_text(&format!("{FOLDER}/cases.json"))).unwrap();
    let to_ids =
        |ids: &serde_json::Value| ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    let cases = cases[name].as_array().unwrap();
    cases.iter().map(|case| (case["text"].as_str().unwrap().to_owned(), to_ids(&case["ids"]))).collect()
}

fn documents(model: Vec<u8>) -> Documents {
    Documents::HuggingFace {
        config: "{}".to_owned(),
        tokenizer: None,
        tokenizer_model: Some(model),
        tokenizer_config: Some(r#"{"eos_token": "</s>", "pad_token": "<pad>"}"#.to_owned()),
        special_tokens_map: None,
        generation_config: None,
        chat_template: None,
        more_templates: Vec::new(),
    }
}

fn model(name: &str) -> Vec<u8> {
    repository(&format!("{FOLDER}/{name}.model"))
}

#[test]
fn sentence_pieces_own_file_is_cut_as_sentence_piece_does() {
    for name in ["bpe-bytes", "unigram-rules", "unigram-symbols"] {
        let tokenizer = Tokenizer::from_documents(&documents(model(name))).unwrap();
        let cases = cases(name);
        assert!(cases.len() > 20);
        for (text, ids) in cases {
            assert_eq!(tokenizer.encode(&text, EncodeOptions::PLAIN).unwrap(), ids, "{name}: {text:?}");
        }
    }
}

#[test]
fn roles_come_from_sentence_pieces_file_and_from_those_beside_it() {
    let tokenizer = Tokenizer::from_documents(&documents(model("bpe-bytes"))).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.end_of_turn()), (Some(1), &[2][..]));
    assert_eq!(tokenizer.encode("", EncodeOptions::PROMPT).unwrap(), [1]);
    let pad = tokenizer.id_of("<pad>").unwrap();
    assert_eq!((pad as usize + 1, tokenizer.is_special(pad)), (tokenizer.vocab_size(), true));
    assert_eq!(tokenizer.encode("</s>", EncodeOptions::ALL_SPECIAL).unwrap(), [1, 2]);
    assert!(!tokenizer.encode("</s>", EncodeOptions::PLAIN).unwrap().contains(&2));
    let text = "naïve 🙂";
    assert_eq!(tokenizer.decode(&tokenizer.encode(text, EncodeOptions::PLAIN).unwrap()), text);
}

fn word_piece() -> GgufMetadata {
    let tokens: Vec<String> = serde_json::from_str(&repository_text(&format!("{FOLDER}/word-piece.json"))).unwrap();
    let id = |token: &str| GgufValue::U32(tokens.iter().position(|known| known == token).unwrap() as u32);
    let types = tokens.iter().map(|token| if token.starts_with('[') && token.len() > 1 { 3 } else { 1 }).collect();
    let mut metadata = GgufMetadata::default();
    metadata.insert("tokenizer.ggml.model", GgufValue::String("bert".to_owned()));
    metadata.insert("tokenizer.ggml.bos_token_id", id("[CLS]"));
    metadata.insert("tokenizer.ggml.seperator_token_id", id("[SEP]"));
    metadata.insert("tokenizer.ggml.unknown_token_id", id("[UNK]"));
    metadata.insert("tokenizer.ggml.token_type", GgufValue::Array(GgufArray::I32(types)));
    metadata.insert("tokenizer.ggml.tokens", GgufValue::Array(GgufArray::String(tokens)));
    metadata
}

#[test]
fn word_pieces_in_a_gguf_are_cut_as_berts_tokenizer_does() {
    let tokenizer = Tokenizer::from_gguf(&word_piece()).unwrap();
    for (text, ids) in cases("word-piece") {
        assert_eq!(tokenizer.encode(&text, EncodeOptions::PLAIN).unwrap(), ids, "{text:?}");
    }
    let [begin, end] = ["[CLS]", "[SEP]"].map(|token| tokenizer.id_of(token).unwrap());
    let sequence = tokenizer.encode_sequence("the model", 64).unwrap();
    assert_eq!((sequence.ids.first(), sequence.ids.last()), (Some(&begin), Some(&end)));
}

#[test]
fn what_is_no_sentence_piece_file_is_refused_in_words() {
    let refusal = |bytes: &[u8]| Tokenizer::from_documents(&documents(bytes.to_vec())).err().unwrap();
    for bytes in [&[][..], &[0x0a, 0xff], &[0x0a, 0x02, 0x0a, 0x7f], &[0xff; 12], b"{}"] {
        assert!(matches!(refusal(bytes), Error::Malformed { .. }), "{bytes:?}");
    }
    // A trainer that says "words".
    let words = [&[0x0a, 3, 0x0a, 1, b'a'][..], &[0x12, 2, 0x18, 3]].concat();
    assert!(matches!(refusal(&words), Error::Tokenizer { .. }));
}

proptest! {
    #[test]
    fn a_damaged_sentence_piece_file_is_refused_or_works(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        which in 0usize..2,
    ) {
        let mut bytes = model(["bpe-bytes", "unigram-rules"][which]);
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut.index(3) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(tokenizer) = Tokenizer::from_documents(&documents(bytes))
            && let Ok(ids) = tokenizer.encode("<s> ab é ﬁ½\n", EncodeOptions::ALL_SPECIAL)
        {
            tokenizer.decode(&ids);
        }
    }
}
