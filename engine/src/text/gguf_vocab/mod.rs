//! A tokenizer from the metadata of a GGUF file.
//!
//! The names that GGUF uses, and what they stand for, are conventions of llama.cpp (`llama-vocab.cpp`). Four kinds of
//! model are known: "gpt2", byte-level BPE; "llama" and "t5", SentencePiece's BPE and unigram model; "bert", WordPiece.

mod byte_level;
mod families;
mod scored;
mod word_piece;

use tokenizers::{AddedToken, models::bpe::Vocab, tokenizer::Tokenizer as Inner};

use super::sentence_piece::Charsmap;
use crate::{Error, Result, file::GgufMetadata};

/// A tokenizer, and which tokens stand at a text's ends.
pub(super) struct GgufVocab {
    pub inner: Inner,
    /// Whether texts begin with BOS.
    pub add_bos: bool,
    /// What stands behind a text that is whole: an encoder's separator, or EOS.
    pub suffix: Option<u32>,
    /// Which characters become which before anything else is done.
    pub charsmap: Option<Charsmap>,
}

/// `tokenizer.ggml.token_type`: stands for what no token covers.
const UNKNOWN: i32 = 2;
/// `tokenizer.ggml.token_type`: never in text, always special.
const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type`: added beside the merges, but ordinary text.
const USER_DEFINED: i32 = 4;
/// `tokenizer.ggml.token_type`: a number without a meaning.
const UNUSED: i32 = 5;
/// `tokenizer.ggml.token_type`: a byte that no other token covers.
const BYTE: i32 = 6;

/// Builds the tokenizer, or says which kind it is that is not known.
pub(super) fn build(metadata: &GgufMetadata) -> Result<GgufVocab> {
    let tokens = metadata.strings("tokenizer.ggml.tokens")?;
    let mut charsmap = None;
    let mut is_scored = false;
    let (mut inner, adds) = match metadata.string("tokenizer.ggml.model")? {
        "gpt2" => byte_level::build(metadata, tokens)?,
        kind @ ("llama" | "t5") => {
            let is_unigram = kind == "t5";
            let built = scored::build(metadata, tokens, is_unigram)?;
            (charsmap, is_scored) = (built.1, true);
            (built.0, Adds { bos: !is_unigram, eos: is_unigram, separator: false })
        }
        "bert" => (word_piece::build(metadata, tokens)?, Adds { bos: true, eos: false, separator: true }),
        other => return Err(unknown("model", other)),
    };
    let added = to_added(tokens, metadata.find_i32s("tokenizer.ggml.token_type")?)?;
    if !is_scored {
        inner.add_tokens(&added);
    }
    let adds_eos = metadata.find_bool("tokenizer.ggml.add_eos_token")?.unwrap_or(adds.eos);
    let adds_separator = metadata.find_bool("tokenizer.ggml.add_sep_token")?.unwrap_or(adds.separator);
    // Misspelled in every file that there is.
    let separator = find_id(metadata, "seperator", tokens.len())?;
    let suffix = match (adds_separator, adds_eos) {
        (true, _) if separator.is_some() => separator,
        (_, true) => find_id(metadata, "eos", tokens.len())?,
        _ => None,
    };
    let add_bos = metadata.find_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(adds.bos);
    Ok(GgufVocab { inner, add_bos, suffix, charsmap })
}

/// Which tokens a family puts at a text's ends where the file does not say.
#[derive(Clone, Copy, Debug, Default)]
struct Adds {
    bos: bool,
    eos: bool,
    separator: bool,
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
