//! A tokenizer from the metadata of a GGUF file.
//!
//! GGUF names two things: the kind of model (`tokenizer.ggml.model`) and, for byte-level BPE, how text is cut into words
//! before merging (`tokenizer.ggml.pre`). The names and the patterns behind them are conventions of llama.cpp
//! (`llama-vocab.cpp`); the families that the supported architectures use are known here.

use tokenizers::{
    AddedToken, SplitDelimiterBehavior,
    decoders::byte_level::ByteLevel as ByteLevelDecoder,
    models::bpe::{BPE, Merges, Vocab},
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    tokenizer::Tokenizer as Inner,
};

use crate::{Error, Result, file::GgufMetadata};

/// A tokenizer, and whether texts begin with BOS.
pub(super) struct GgufVocab {
    pub inner: Inner,
    pub add_bos: bool,
}

/// `tokenizer.ggml.token_type`: never in text, always special.
const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type`: added beside the merges, but ordinary text.
const USER_DEFINED: i32 = 4;

const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DIGIT: &str = r"\p{N}";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";

/// How a family of tokenizers cuts text into words: patterns, each applied to what the one before left together.
struct Family {
    patterns: &'static [&'static str],
    /// Whether a word that is a token as a whole is taken without merging.
    ignore_merges: bool,
    /// Whether texts begin with BOS where the file does not say.
    add_bos: bool,
}

/// The family behind a name.
fn family(pre: &str) -> Option<Family> {
    let plain = |patterns| Family { patterns, ignore_merges: false, add_bos: false };
    Some(match pre {
        "default" => plain(&[r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", THREE_DIGITS]),
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" | "roberta-bpe" => plain(&[GPT_2]),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" => {
            plain(&[DIGIT, GPT_2])
        }
        "falcon" => plain(&[r"[\p{P}\$\+<=>\^~\|`]+", GPT_2, THREE_DIGITS]),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" => plain(&[QWEN_2]),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "lfm2" => {
            Family { patterns: &[LLAMA_3], ignore_merges: true, add_bos: true }
        }
        "dbrx" | "smaug-bpe" => plain(&[LLAMA_3]),
        _ => return None,
    })
}

/// Builds the tokenizer, or says which kind it is that is not known.
pub(super) fn build(metadata: &GgufMetadata) -> Result<GgufVocab> {
    let kind = metadata.string("tokenizer.ggml.model")?;
    if kind != "gpt2" {
        return Err(unknown("model", kind));
    }
    let pre = metadata.find_string("tokenizer.ggml.pre")?.unwrap_or("default");
    let family = family(pre).ok_or_else(|| unknown("pre-tokenizer", pre))?;
    let tokens = metadata.strings("tokenizer.ggml.tokens")?;
    let model = BPE::builder()
        .vocab_and_merges(to_vocab(tokens)?, to_merges(metadata.strings("tokenizer.ggml.merges")?)?)
        .ignore_merges(family.ignore_merges)
        .build()
        .map_err(failed)?;
    let mut inner = Inner::new(model);
    inner.with_pre_tokenizer(Some(to_pre_tokenizer(&family)?));
    inner.with_decoder(Some(ByteLevelDecoder::default()));
    inner.add_tokens(&to_added(tokens, metadata.find_i32s("tokenizer.ggml.token_type")?)?);
    let add_bos = metadata.find_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(family.add_bos);
    Ok(GgufVocab { inner, add_bos })
}

/// BOS, and the tokens that end an answer.
pub(super) fn turn_ids(metadata: &GgufMetadata, vocab_size: usize) -> Result<(Option<u32>, Vec<u32>)> {
    let find = |name: &str| {
        let key = format!("tokenizer.ggml.{name}_token_id");
        match metadata.find_u32(&key)? {
            Some(id) if id as usize >= vocab_size => {
                Err(Error::config(key, format_args!("is {id}, but there are {vocab_size} tokens")))
            }
            id => Ok(id),
        }
    };
    let ends = [find("eos")?, find("eot")?, find("eom")?];
    Ok((find("bos")?, ends.into_iter().flatten().collect()))
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

/// Pairs to merge; neither half holds a space, because byte-level BPE writes it as another character.
fn to_merges(merges: &[String]) -> Result<Merges> {
    let split = |merge: &String| merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
    let not_two = |merge: &String| failed(format_args!("the merge {merge:?} is not two tokens"));
    merges.iter().map(|merge| split(merge).ok_or_else(|| not_two(merge))).collect()
}

/// Patterns in order, then bytes as characters.
fn to_pre_tokenizer(family: &Family) -> Result<Sequence> {
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for pattern in family.patterns {
        let pattern = SplitPattern::Regex((*pattern).to_owned());
        steps.push(Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)?.into());
    }
    steps.push(ByteLevel::new(false, false, false).into());
    Ok(Sequence::new(steps))
}

/// The tokens that are recognised before text is cut into words.
fn to_added(tokens: &[String], types: Option<&[i32]>) -> Result<Vec<AddedToken>> {
    let types = types.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(failed(format_args!("there are {} tokens, but {} types of tokens", tokens.len(), types.len())));
    }
    let is_added = |kind: i32| kind == CONTROL || kind == USER_DEFINED;
    let added = tokens.iter().zip(types).filter(|(_, kind)| is_added(**kind));
    Ok(added.map(|(token, kind)| AddedToken::from(token.clone(), *kind == CONTROL).normalized(false)).collect())
}
