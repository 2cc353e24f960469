//! The tokenizer, from the metadata of a GGUF file.

use hearth_engine::{
    Error,
    file::{Documents, GgufArray, GgufMetadata, GgufValue},
    text::{EncodeOptions, Tokenizer},
};
use proptest::prelude::*;

use crate::{
    files::repository_text,
    tokenizer::{BUNDLED, any_text, byte_fallback},
};

/// The bundled model's tokenizer as GGUF writes it.
fn bundled() -> GgufMetadata {
    let json: serde_json::Value = serde_json::from_str(&repository_text("models/hearth-tiny/tokenizer.json")).unwrap();
    let vocab = json["model"]["vocab"].as_object().unwrap();
    let mut tokens = vec![String::new(); vocab.len()];
    let mut types = vec![1i32; vocab.len()];
    for (token, id) in vocab {
        tokens[id.as_u64().unwrap() as usize] = token.clone();
    }
    for added in json["added_tokens"].as_array().unwrap() {
        types[added["id"].as_u64().unwrap() as usize] = 3;
    }
    let merges = json["model"]["merges"].as_array().unwrap().iter();
    let merges = merges.map(|merge| format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap())).collect();
    let id = |token: &str| GgufValue::U32(vocab[token].as_u64().unwrap() as u32);
    let mut metadata = GgufMetadata::default();
    metadata.insert("tokenizer.ggml.eos_token_id", id("<|end|>"));
    metadata.insert("tokenizer.ggml.bos_token_id", id("<|endoftext|>"));
    metadata.insert("tokenizer.ggml.add_bos_token", GgufValue::Bool(true));
    metadata.insert("tokenizer.ggml.model", GgufValue::String("gpt2".to_owned()));
    metadata.insert("tokenizer.ggml.pre", GgufValue::String("gpt-2".to_owned()));
    metadata.insert("tokenizer.ggml.tokens", GgufValue::Array(GgufArray::String(tokens)));
    metadata.insert("tokenizer.ggml.merges", GgufValue::Array(GgufArray::String(merges)));
    metadata.insert("tokenizer.ggml.token_type", GgufValue::Array(GgufArray::I32(types)));
    metadata
}

/// A vocabulary of single bytes as far as the texts here need them, and one token of each type.
fn letters(pre: Option<&str>) -> GgufMetadata {
    let mut tokens: Vec<String> = "abcdefghij0123456789Ġ'.".chars().map(String::from).collect();
    tokens.extend(["<ctl>", "<user>", "<normal>", "12"].map(str::to_owned));
    let mut types = vec![1; tokens.len()];
    let (count, letters) = (tokens.len(), tokens.len() - 4);
    (types[letters], types[letters + 1]) = (3, 4);
    let mut metadata = GgufMetadata::default();
    metadata.insert("tokenizer.ggml.model", GgufValue::String("gpt2".to_owned()));
    if let Some(pre) = pre {
        metadata.insert("tokenizer.ggml.pre", GgufValue::String(pre.to_owned()));
    }
    metadata.insert("tokenizer.ggml.bos_token_id", GgufValue::U32(letters as u32));
    metadata.insert("tokenizer.ggml.tokens", GgufValue::Array(GgufArray::String(tokens)));
    metadata.insert("tokenizer.ggml.merges", GgufValue::Array(GgufArray::String(vec!["1 2".to_owned()])));
    metadata.insert("tokenizer.ggml.token_type", GgufValue::Array(GgufArray::I32(types)));
    assert_eq!(metadata.strings("tokenizer.ggml.tokens").unwrap().len(), count);
    metadata
}

#[test]
fn the_bundled_models_ends_are_found() {
    let tokenizer = Tokenizer::from_gguf(&bundled()).unwrap();
    assert_eq!(tokenizer.bos(), BUNDLED.0.bos());
    assert_eq!(tokenizer.end_of_turn(), BUNDLED.0.end_of_turn());
    assert_eq!(tokenizer.vocab_size(), BUNDLED.0.vocab_size());
}

#[test]
fn types_of_tokens_are_honoured() {
    let tokenizer = Tokenizer::from_gguf(&letters(Some("gpt-2"))).unwrap();
    let [control, user] = ["<ctl>", "<user>"].map(|token| tokenizer.id_of(token).unwrap());
    assert!(tokenizer.is_special(control) && !tokenizer.is_special(user));
    let all = tokenizer.encode("a<ctl><user>b", EncodeOptions::ALL_SPECIAL).unwrap();
    assert_eq!(all, [0, control, user, 1]);
    let plain = tokenizer.encode("a<user>b", EncodeOptions::PLAIN).unwrap();
    assert_eq!(plain, [0, user, 1]);
    assert_eq!(tokenizer.decode(&all), "a<user>b");
}

#[test]
fn a_text_begins_with_bos_if_the_file_or_its_family_says_so() {
    let begins = |metadata: &GgufMetadata| {
        let tokenizer = Tokenizer::from_gguf(metadata).unwrap();
        tokenizer.encode("a", EncodeOptions::PROMPT).unwrap().first().copied() == tokenizer.bos()
    };
    assert!(!begins(&letters(Some("gpt-2"))));
    assert!(begins(&letters(Some("llama-bpe"))));
    let mut metadata = letters(Some("llama-bpe"));
    metadata.insert("tokenizer.ggml.add_bos_token", GgufValue::Bool(false));
    assert!(!begins(&metadata));
}

#[test]
fn digits_are_cut_as_the_family_cuts_them() {
    let merged = |pre: Option<&str>, text: &str| {
        let tokenizer = Tokenizer::from_gguf(&letters(pre)).unwrap();
        let ids = tokenizer.encode(text, EncodeOptions::PLAIN).unwrap();
        ids.contains(&tokenizer.id_of("12").unwrap())
    };
    // 9 8 | 12 would be two words where digits go in threes, and four where each stands alone.
    assert!(merged(Some("gpt-2"), "9812"));
    assert!(!merged(Some("llama-bpe"), "9812"));
    assert!(merged(Some("llama-bpe"), "98712"));
    assert!(!merged(Some("qwen2"), "12"));
    assert!(!merged(Some("starcoder"), "12"));
    assert!(!merged(None, "9812"));
}

/// A vocabulary with scores, such as SentencePiece makes.
fn scored() -> GgufMetadata {
    let mut tokens: Vec<(String, f32, i32)> =
        [("<unk>", 2), ("<s>", 3), ("</s>", 3)].map(|(token, kind)| (token.to_owned(), 0.0, kind)).to_vec();
    tokens.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), 0.0, 6)));
    let pieces = [("▁a", -3.0), ("ab", -1.0), ("bc", -2.0), ("▁ab", -4.0), ("abc", -5.0), ("▁", -6.0)];
    tokens.extend(pieces.map(|(token, score)| (token.to_owned(), score, 1)));
    tokens.extend(["a", "b", "c"].map(|token| (token.to_owned(), -9.0, 1)));
    let array = |values| GgufValue::Array(values);
    let mut metadata = GgufMetadata::default();
    metadata.insert("tokenizer.ggml.model", GgufValue::String("llama".to_owned()));
    metadata.insert("tokenizer.ggml.bos_token_id", GgufValue::U32(1));
    metadata.insert("tokenizer.ggml.eos_token_id", GgufValue::U32(2));
    metadata.insert("tokenizer.ggml.unknown_token_id", GgufValue::U32(0));
    let (scores, types) = tokens.iter().map(|(_, score, kind)| (*score, *kind)).unzip();
    metadata.insert("tokenizer.ggml.scores", array(GgufArray::F32(scores)));
    metadata.insert("tokenizer.ggml.token_type", array(GgufArray::I32(types)));
    let texts = tokens.into_iter().map(|(token, ..)| token).collect();
    metadata.insert("tokenizer.ggml.tokens", array(GgufArray::String(texts)));
    metadata
}

#[test]
fn the_pair_of_the_highest_score_is_joined_first() {
    let tokenizer = Tokenizer::from_gguf(&scored()).unwrap();
    let spelled = |text: &str, options| -> Vec<String> {
        let ids = tokenizer.encode(text, options).unwrap();
        ids.iter().map(|id| String::from_utf8_lossy(tokenizer.token_bytes(*id).unwrap()).into_owned()).collect()
    };
    // "ab" (-1) goes before "▁a" (-3) and "bc" (-2); then "▁ab" (-4) before "abc" (-5).
    assert_eq!(spelled("abc", EncodeOptions::PLAIN), [" ab", "c"]);
    assert_eq!(spelled("cab", EncodeOptions::PROMPT), ["<s>", " ", "c", "ab"]);
    assert_eq!(tokenizer.encode("\n", EncodeOptions::PLAIN).unwrap(), [264, 3 + 10]);
    assert_eq!((tokenizer.bos(), tokenizer.end_of_turn()), (Some(1), &[2][..]));
    let mut unprefixed = scored();
    unprefixed.insert("tokenizer.ggml.add_space_prefix", GgufValue::Bool(false));
    let tokenizer = Tokenizer::from_gguf(&unprefixed).unwrap();
    let ids = tokenizer.encode(" ab", EncodeOptions::PLAIN).unwrap();
    assert_eq!((ids.len(), &*tokenizer.decode(&ids)), (1, " ab"));
}

#[test]
fn scores_must_be_as_many_as_tokens() {
    let mut metadata = scored();
    metadata.insert("tokenizer.ggml.scores", GgufValue::Array(GgufArray::F32(vec![0.0])));
    let message = Tokenizer::from_gguf(&metadata).err().unwrap().to_string();
    assert!(message.contains("268 tokens, but 1 scores"), "{message}");
}

#[test]
fn an_unknown_kind_is_named_with_the_cure() {
    let mut sentencepiece = letters(None);
    sentencepiece.insert("tokenizer.ggml.model", GgufValue::String("rwkv".to_owned()));
    for (metadata, name) in [(letters(Some("klingon")), "klingon"), (sentencepiece, "rwkv")] {
        let Err(Error::Tokenizer { reason }) = Tokenizer::from_gguf(&metadata) else { panic!("{name}") };
        assert!(reason.contains(name) && reason.contains("put the model's tokenizer.json beside"), "{reason}");
        let beside = |tokenizer| Documents::Gguf { metadata: metadata.clone(), tokenizer, tokenizer_config: None };
        assert!(Tokenizer::from_documents(&beside(None)).is_err());
        let tokenizer = Tokenizer::from_documents(&beside(Some(byte_fallback()))).unwrap();
        assert_eq!(tokenizer.id_of("▁ab"), Some(265));
    }
}

#[test]
fn a_vocabulary_that_contradicts_itself_is_refused() {
    let with = |key: &str, value: GgufValue| {
        let mut metadata = letters(Some("gpt-2"));
        metadata.insert(key, value);
        Tokenizer::from_gguf(&metadata).err().unwrap_or_else(|| panic!("{key}")).to_string()
    };
    let texts = |text: &str| GgufValue::Array(GgufArray::String(vec![text.to_owned()]));
    for (key, value, reason) in [
        ("tokenizer.ggml.merges", texts("ab"), "is not two tokens"),
        ("tokenizer.ggml.merges", texts("a zz"), "zz"),
        ("tokenizer.ggml.token_type", GgufValue::Array(GgufArray::I32(vec![1])), "1 types of tokens"),
        ("tokenizer.ggml.eos_token_id", GgufValue::U32(1000), "is 1000, but there are 27 tokens"),
        ("tokenizer.ggml.tokens", GgufValue::U32(1), "tokenizer.ggml.tokens is not an array"),
    ] {
        let message = with(key, value);
        assert!(message.contains(reason), "{reason}: {message}");
    }
}

proptest! {
    #[test]
    fn any_text_comes_back_from_scored_tokens(text in any_text()) {
        thread_local!(static TOKENIZER: Tokenizer = Tokenizer::from_gguf(&scored()).unwrap());
        TOKENIZER.with(|tokenizer| {
            let ids = tokenizer.encode(&text, EncodeOptions::PLAIN).unwrap();
            prop_assert!(!ids.iter().any(|id| tokenizer.is_special(*id)), "{:?}", ids);
            prop_assert_eq!(tokenizer.decode(&ids), text.replace('▁', " "));
            Ok(())
        })?;
    }

    #[test]
    fn both_forms_of_one_tokenizer_give_the_same_tokens(text in any_text()) {
        thread_local!(static TOKENIZER: Tokenizer = Tokenizer::from_gguf(&bundled()).unwrap());
        for options in [EncodeOptions::ALL_SPECIAL, EncodeOptions::PLAIN] {
            let found = TOKENIZER.with(|tokenizer| tokenizer.encode(&text, options)).unwrap();
            prop_assert_eq!(found, BUNDLED.0.encode(&text, options).unwrap());
        }
    }
}
