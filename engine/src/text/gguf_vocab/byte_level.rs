//! Byte-level BPE (Radford et al. 2019), "gpt2" to GGUF.
//!
//! How text is cut into words before merging has a name of its own, `tokenizer.ggml.pre`: see [`families`](super::families).

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

use super::{
    Adds, failed,
    families::{Family, family},
    to_vocab, unknown,
};
use crate::{Result, file::GgufMetadata};

/// The tokenizer without its added tokens, and what it puts at a text's ends where the file does not say.
pub(super) fn build(metadata: &GgufMetadata, tokens: &[String]) -> Result<(Inner, Adds)> {
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
    Ok((inner, Adds { bos: family.add_bos, separator: family.add_separator, ..Adds::default() }))
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
