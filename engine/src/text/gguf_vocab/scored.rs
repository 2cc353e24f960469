//! SentencePiece's vocabularies: BPE, "llama" to GGUF, and the unigram model, "t5".

use tokenizers::tokenizer::Tokenizer as Inner;

use super::{BYTE, CONTROL, UNKNOWN, UNUSED, USER_DEFINED, failed};
use crate::{
    Result,
    file::GgufMetadata,
    text::sentence_piece::{Charsmap, Kind, Piece, Rules, Vocabulary},
};

/// The tokenizer, its added tokens included, and which characters become which before.
pub(super) fn build(metadata: &GgufMetadata, tokens: &[String], is_unigram: bool) -> Result<(Inner, Option<Charsmap>)> {
    let scores = metadata.find_f32s("tokenizer.ggml.scores")?.unwrap_or_default();
    if scores.len() != tokens.len() {
        return Err(failed(format_args!("there are {} tokens, but {} scores", tokens.len(), scores.len())));
    }
    let types = metadata.find_i32s("tokenizer.ggml.token_type")?.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(failed(format_args!("there are {} tokens, but {} types of tokens", tokens.len(), types.len())));
    }
    let unknown = metadata.find_u32("tokenizer.ggml.unknown_token_id")?;
    let pieces = tokens.iter().zip(scores).enumerate().map(|(id, (text, score))| Piece {
        text: text.clone(),
        score: *score,
        kind: match types.get(id) {
            _ if unknown == Some(id as u32) => Kind::Unknown,
            Some(&UNKNOWN) => Kind::Unknown,
            Some(&CONTROL) => Kind::Control,
            Some(&USER_DEFINED) => Kind::UserDefined,
            Some(&UNUSED) => Kind::Unused,
            Some(&BYTE) => Kind::Byte,
            _ => Kind::Normal,
        },
    });
    let charsmap = match metadata.find_bytes("tokenizer.ggml.precompiled_charsmap")?.as_deref() {
        None | Some([]) => None,
        Some(bytes) => Some(Charsmap::parse(bytes).map_err(failed)?),
    };
    let vocabulary = Vocabulary {
        pieces: pieces.collect(),
        is_unigram,
        byte_fallback: !is_unigram,
        rules: Rules {
            charsmap,
            add_prefix: metadata.find_bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
            remove_extra_spaces: metadata.find_bool("tokenizer.ggml.remove_extra_whitespaces")?.unwrap_or(is_unigram),
        },
        ..Vocabulary::default()
    };
    Ok((vocabulary.build()?, vocabulary.rules.charsmap))
}
