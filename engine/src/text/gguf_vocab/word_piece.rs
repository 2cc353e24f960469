//! WordPiece (Schuster and Nakajima 2012) as BERT uses it, "bert" to GGUF.
//!
//! `tokenizer.json` marks what continues a word with `##`; GGUF marks what begins one with U+2581 and leaves the rest
//! bare. Tokens in brackets have a role and neither mark.

use tokenizers::{
    decoders::wordpiece::WordPiece as WordPieceDecoder,
    models::{bpe::Vocab, wordpiece::WordPiece},
    normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
    tokenizer::Tokenizer as Inner,
};

use super::failed;
use crate::{Result, file::GgufMetadata};

/// Before what begins a word.
const BEGINS: char = '\u{2581}';
/// Before what continues one.
const CONTINUES: &str = "##";
/// A longer word counts as unknown, as in BERT's own tokenizer.
const WORD_MAX_CHARS: usize = 100;

/// The tokenizer without its added tokens.
pub(super) fn build(metadata: &GgufMetadata, tokens: &[String]) -> Result<Inner> {
    let mut vocab = Vocab::default();
    let mut is_cased = false;
    for (id, token) in tokens.iter().enumerate() {
        let id = u32::try_from(id).map_err(failed)?;
        let token = match token.strip_prefix(BEGINS) {
            _ if has_role(token) => token.clone(),
            Some(word) => word.to_owned(),
            None => format!("{CONTINUES}{token}"),
        };
        is_cased |= !has_role(&token) && token.bytes().any(|byte| byte.is_ascii_uppercase());
        vocab.entry(token).or_insert(id);
    }
    let unknown = metadata.find_u32("tokenizer.ggml.unknown_token_id")?.and_then(|id| tokens.get(id as usize));
    let model = WordPiece::builder()
        .vocab(vocab)
        .unk_token(unknown.map_or("[UNK]", String::as_str).to_owned())
        .continuing_subword_prefix(CONTINUES.to_owned())
        .max_input_chars_per_word(WORD_MAX_CHARS)
        .build()
        .map_err(failed)?;
    let mut inner = Inner::new(model);
    // A vocabulary without capitals can only be meant for text without them; the file does not say so itself.
    inner.with_normalizer(Some(BertNormalizer::new(true, true, None, !is_cased)));
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(WordPieceDecoder::new(CONTINUES.to_owned(), true)));
    Ok(inner)
}

/// `[CLS]`, `[SEP]`, `[unused1]`, ...
fn has_role(token: &str) -> bool {
    token.starts_with('[') && token.ends_with(']')
}
