//! A tokenizer from the metadata of a GGUF file.
//!
//! The names that GGUF uses, and what they stand for, are conventions of llama.cpp (`llama-vocab.cpp`). Two kinds of
//! model are known: "gpt2", byte-level BPE, and "llama", SentencePiece's BPE.

mod byte_level;
mod sentence_piece;

use tokenizers::{AddedToken, models::bpe::Vocab, tokenizer::Tokenizer as Inner};

use crate::{Error, Result, file::GgufMetadata};

/// A tokenizer, and whether texts begin with BOS.
pub(super) struct GgufVocab {
    pub inner: Inner,
    pub add_bos: bool,
}

/// `tokenizer.ggml.token_type`: stands for what no token covers.
const UNKNOWN: i32 = 2;
/// `tokenizer.ggml.token_type`: never in text, always special.
const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type`: added beside the merges, but ordinary text.
const USER_DEFINED: i32 = 4;

/// Builds the tokenizer, or says which kind it is that is not known.
pub(super) fn build(metadata: &GgufMetadata) -> Result<GgufVocab> {
    let tokens = metadata.strings("tokenizer.ggml.tokens")?;
    let (mut inner, add_bos) = match metadata.string("tokenizer.ggml.model")? {
        "gpt2" => byte_level::build(metadata, tokens)?,
        "llama" => sentence_piece::build(metadata, tokens)?,
        other => return Err(unknown("model", other)),
    };
    inner.add_tokens(&to_added(tokens, metadata.find_i32s("tokenizer.ggml.token_type")?)?);
    Ok(GgufVocab { inner, add_bos: metadata.find_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(add_bos) })
}

/// BOS, and the tokens that end an answer.
pub(super) fn turn_ids(metadata: &GgufMetadata, vocab_size: usize) -> Result<(Option<u32>, Vec<u32>)> {
    let ends = [
        find_id(metadata, "eos", vocab_size)?,
        find_id(metadata, "eot", vocab_size)?,
        find_id(metadata, "eom", vocab_size)?,
    ];
    Ok((find_id(metadata, "bos", vocab_size)?, ends.into_iter().flatten().collect()))
}

/// A token that the metadata gives a role.
fn find_id(metadata: &GgufMetadata, role: &str, vocab_size: usize) -> Result<Option<u32>> {
    let key = format!("tokenizer.ggml.{role}_token_id");
    match metadata.find_u32(&key)? {
        Some(id) if id as usize >= vocab_size => {
            Err(Error::config(key, format_args!("is {id}, but there are {vocab_size} tokens")))
        }
        id => Ok(id),
    }
}

fn failed(error: impl ToString) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}

fn unknown(what: &str, name: &str) -> Error {
    failed(format_args!(
        "the GGUF tokenizer's {what} {name:?} is not known; put the model's tokenizer.json beside the file"
    ))
}

/// Ids by token. Of two tokens of one spelling the first counts.
fn to_vocab(tokens: &[String]) -> Result<Vocab> {
    let mut vocab = Vocab::default();
    for (id, token) in tokens.iter().enumerate() {
        let id = u32::try_from(id).map_err(failed)?;
        vocab.entry(token.clone()).or_insert(id);
    }
    Ok(vocab)
}

/// The tokens that are recognised before text is cut into words.
fn to_added(tokens: &[String], types: Option<&[i32]>) -> Result<Vec<AddedToken>> {
    let types = types.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(failed(format_args!("there are {} tokens, but {} types of tokens", tokens.len(), types.len())));
    }
    let added = tokens.iter().zip(types).filter_map(|(token, kind)| match *kind {
        UNKNOWN | CONTROL => Some(AddedToken::from(token.clone(), true)),
        USER_DEFINED => Some(AddedToken::from(token.clone(), false)),
        _ => None,
    });
    Ok(added.map(|token| token.normalized(false)).collect())
}
