//! Byte-level BPE (Radford et al. 2019), "gpt2" to GGUF.
//!
//! How text is cut into words before merging has a name of its own, `tokenizer.ggml.pre`; the families that the supported
//! architectures use are known here.

use tokenizers::{
    SplitDelimiterBehavior,
    decoders::byte_level::ByteLevel as ByteLevelDecoder,
    models::bpe::{BPE, Merges},
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    tokenizer::Tokenizer as Inner,
};

use super::{failed, to_vocab, unknown};
use crate::{Result, file::GgufMetadata};

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

/// The tokenizer without its added tokens, and whether texts begin with BOS where the file does not say.
pub(super) fn build(metadata: &GgufMetadata, tokens: &[String]) -> Result<(Inner, bool)> {
    let pre = metadata.find_string("tokenizer.ggml.pre")?.unwrap_or("default");
    let family = family(pre).ok_or_else(|| unknown("pre-tokenizer", pre))?;
    let model = BPE::builder()
        .vocab_and_merges(to_vocab(tokens)?, to_merges(metadata.strings("tokenizer.ggml.merges")?)?)
        .ignore_merges(family.ignore_merges)
        .build()
        .map_err(failed)?;
    let mut inner = Inner::new(model);
    inner.with_pre_tokenizer(Some(to_pre_tokenizer(&family)?));
    inner.with_decoder(Some(ByteLevelDecoder::default()));
    Ok((inner, family.add_bos))
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
