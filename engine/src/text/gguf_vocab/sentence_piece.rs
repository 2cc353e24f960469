//! SentencePiece's BPE (Kudo and Richardson 2018), "llama" to GGUF.
//!
//! There is no list of merges: of all neighbours whose join is a token, the two whose join has the highest score are
//! joined first. That is what BPE does with every possible pair in the order of their join's score.

use tokenizers::{
    decoders::{
        DecoderWrapper, byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as DecoderSequence, strip::Strip,
    },
    models::bpe::{BPE, Merges, Vocab},
    normalizers::{NormalizerWrapper, Prepend, Replace, Sequence as NormalizerSequence},
    tokenizer::Tokenizer as Inner,
};

use super::{failed, find_id, to_vocab};
use crate::{Result, file::GgufMetadata};

/// Stands for a space.
const SPACE: &str = "\u{2581}";
/// Longer tokens are never made by joining; the longest of real vocabularies are runs of a hundred spaces.
const JOINED_MAX_BYTES: usize = 512;

/// The tokenizer without its added tokens, and whether texts begin with BOS where the file does not say.
pub(super) fn build(metadata: &GgufMetadata, tokens: &[String]) -> Result<(Inner, bool)> {
    let vocab = to_vocab(tokens)?;
    let scores = metadata.find_f32s("tokenizer.ggml.scores")?.unwrap_or_default();
    if scores.len() != tokens.len() {
        return Err(failed(format_args!("there are {} tokens, but {} scores", tokens.len(), scores.len())));
    }
    let merges = to_merges(tokens, scores, &vocab);
    let mut model = BPE::builder().vocab_and_merges(vocab, merges).byte_fallback(true).fuse_unk(true);
    if let Some(token) = find_id(metadata, "unknown", tokens.len())?.and_then(|id| tokens.get(id as usize)) {
        model = model.unk_token(token.clone());
    }
    let mut inner = Inner::new(model.build().map_err(failed)?);
    let has_prefix = metadata.find_bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    inner.with_normalizer(Some(to_normalizer(has_prefix)?));
    inner.with_decoder(Some(to_decoder(has_prefix)?));
    Ok((inner, true))
}

/// Every pair of tokens whose join is a token, the best join first.
fn to_merges(tokens: &[String], scores: &[f32], vocab: &Vocab) -> Merges {
    let mut joins: Vec<_> = tokens.iter().zip(scores).filter(|(token, _)| token.len() <= JOINED_MAX_BYTES).collect();
    joins.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    let pairs = joins.into_iter().flat_map(|(token, _)| {
        let splits = token.char_indices().skip(1).map(|(middle, _)| token.split_at(middle));
        splits.filter(|(left, right)| vocab.contains_key(*left) && vocab.contains_key(*right))
    });
    pairs.map(|(left, right)| (left.to_owned(), right.to_owned())).collect()
}

/// A space before each text, and each space by its sign.
fn to_normalizer(has_prefix: bool) -> Result<NormalizerSequence> {
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if has_prefix {
        steps.push(Prepend::new(SPACE.to_owned()).into());
    }
    steps.push(Replace::new(" ", SPACE).map_err(failed)?.into());
    Ok(NormalizerSequence::new(steps))
}

/// The way back.
fn to_decoder(has_prefix: bool) -> Result<DecoderSequence> {
    let mut steps: Vec<DecoderWrapper> =
        vec![Replace::new(SPACE, " ").map_err(failed)?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if has_prefix {
        steps.push(Strip::new(' ', 1, 0).into());
    }
    Ok(DecoderSequence::new(steps))
}
