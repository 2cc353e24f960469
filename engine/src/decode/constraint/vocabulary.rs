//! The model's tokens as llguidance wants them: a trie of their bytes.

use std::sync::Arc;

use llguidance::{
    ParserFactory,
    toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};

use crate::{Error, Result, text::Tokenizer};

/// Longer tokens are never chosen under a constraint: the trie counts a token's bytes in ten bits.
const TOKEN_BYTES_MAX: usize = 512;

/// The trie counts its nodes, at most one for each byte of each token, in 22 bits.
const TRIE_BYTES_MAX: usize = (1 << 22) - 1;

/// Lexer states cost one or two kilobytes each, and a page has few gigabytes for everything.
const LEXER_STATES_MAX: usize = 25_000;

/// Symbols of a grammar's rules.
const GRAMMAR_SYMBOLS_MAX: usize = 200_000;

/// The vocabulary of one model, and what compiles grammars against it.
pub(super) struct Vocabulary {
    pub(super) factory: ParserFactory,
    /// Tokens with a digit or an opening bracket in them, in rising order: those that [`super::scan`] may refuse.
    pub(super) watched: Vec<u32>,
}

impl Vocabulary {
    /// Builds the trie. `ends` are the tokens that end an answer; ids from `ids_max` on have no logit.
    pub(super) fn new(tokenizer: &Tokenizer, ends: &[u32], ids_max: usize) -> Result<Self> {
        let mut words: Vec<Vec<u8>> = Vec::with_capacity(tokenizer.vocab_size());
        let mut watched = Vec::new();
        for id in 0..tokenizer.vocab_size() as u32 {
            let word = if (id as usize) < ids_max { word(tokenizer, ends, id) } else { Vec::new() };
            let is_special = word.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER);
            if !is_special && word.iter().any(|byte| byte.is_ascii_digit() || b"{[".contains(byte)) {
                watched.push(id);
            }
            words.push(word);
        }
        let bytes: usize = words.iter().map(Vec::len).sum();
        if words.is_empty() || bytes > TRIE_BYTES_MAX {
            let reason = format!("its tokens have {bytes} bytes in all; constraints work with 1 to {TRIE_BYTES_MAX}");
            return Err(Error::Tokenizer { reason });
        }
        let known: Vec<u32> = ends.iter().copied().filter(|end| (*end as usize) < words.len()).collect();
        let info = TokRxInfo::new(words.len() as u32, known.first().copied().unwrap_or(INVALID_TOKEN));
        let mut trie = TokTrie::from(&info, &words);
        if !known.is_empty() {
            trie = trie.with_eos_tokens(&known);
        }
        // Greedy cutting is not how the model's tokenizer cuts, so llguidance never forces tokens, only bytes.
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)
            .map_err(|error| Error::Tokenizer { reason: error.to_string() })?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        limits.max_lexer_states = LEXER_STATES_MAX;
        limits.max_grammar_size = GRAMMAR_SYMBOLS_MAX;
        Ok(Self { factory, watched })
    }

    /// The bytes of a token.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        self.factory.tok_env().tok_trie().token(id)
    }
}

/// A token's bytes; for special ones, which no text can contain, their spelling behind a byte that no text contains.
fn word(tokenizer: &Tokenizer, ends: &[u32], id: u32) -> Vec<u8> {
    let Some(bytes) = tokenizer.token_bytes(id) else { return Vec::new() };
    if tokenizer.is_special(id) || ends.contains(&id) {
        let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
        word.extend_from_slice(&bytes[..bytes.len().min(TOKEN_BYTES_MAX)]);
        return word;
    }
    // Bytes from F5 on are in no UTF-8.
    if bytes.len() > TOKEN_BYTES_MAX || bytes.iter().any(|byte| *byte >= 0xF5) { Vec::new() } else { bytes.to_vec() }
}
