//! Text that arrives a token at a time.

use hearth_engine::text::{EncodeOptions, TextStream, Tokenizer};
use proptest::prelude::*;

use crate::tokenizer::{BUNDLED, FALLBACK, any_text};

/// Everything that a stream gives for these tokens.
fn pieces(tokenizer: &Tokenizer, mut stream: TextStream, ids: &[u32]) -> Vec<String> {
    let mut pieces: Vec<_> = ids.iter().map(|id| stream.push(tokenizer, *id)).collect();
    pieces.push(stream.finish());
    pieces
}

#[test]
fn a_character_waits_until_it_is_whole() {
    let (tokenizer, _) = &*FALLBACK;
    let ids: Vec<_> = "€!".bytes().map(|byte| u32::from(byte) + 3).collect();
    assert_eq!(pieces(tokenizer, TextStream::new(), &ids), ["", "", "€", "!", ""]);
}

#[test]
fn bytes_that_never_become_a_character_are_replaced_as_soon_as_that_is_certain() {
    let (tokenizer, _) = &*FALLBACK;
    let ids = [0xE2, 0x82, 0x41, 0xFF, 0xC3].map(|byte: u32| byte + 3);
    assert_eq!(pieces(tokenizer, TextStream::new(), &ids), ["", "", "\u{FFFD}A", "\u{FFFD}", "", "\u{FFFD}"]);
}

#[test]
fn the_space_before_a_text_is_taken_away_once_and_kept_in_a_continuation() {
    let (tokenizer, _) = &*FALLBACK;
    let ids: Vec<_> = ["</s>", "▁ab", "▁ab"].map(|token| tokenizer.id_of(token).unwrap()).to_vec();
    assert_eq!(pieces(tokenizer, TextStream::new(), &ids), ["", "ab", " ab", ""]);
    assert_eq!(pieces(tokenizer, TextStream::continuing(), &ids), ["", " ab", " ab", ""]);
    let spaces = ["▁", "▁", "a"].map(|token| tokenizer.id_of(token).unwrap());
    assert_eq!(pieces(tokenizer, TextStream::new(), &spaces).concat(), " a");
}

#[test]
fn special_and_unknown_tokens_give_nothing() {
    let (tokenizer, _) = &*BUNDLED;
    let end = tokenizer.id_of("<|end|>").unwrap();
    assert_eq!(pieces(tokenizer, TextStream::new(), &[end, u32::MAX, end]).concat(), "");
}

proptest! {
    #[test]
    fn all_pieces_together_are_what_the_tokenizers_own_crate_decodes(
        ids in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (tokenizer, peer) = &*BUNDLED;
        let ids: Vec<_> = ids.iter().map(|index| index.index(tokenizer.vocab_size()) as u32).collect();
        let text = pieces(tokenizer, TextStream::new(), &ids).concat();
        prop_assert_eq!(&text, &peer.decode(&ids, true).unwrap());
        prop_assert_eq!(text, tokenizer.decode(&ids));
    }

    #[test]
    fn no_piece_holds_half_a_character(text in any_text(), is_fallback: bool) {
        let (tokenizer, peer) = if is_fallback { &*FALLBACK } else { &*BUNDLED };
        let ids = tokenizer.encode(&text, EncodeOptions::PLAIN).unwrap();
        let pieces = pieces(tokenizer, TextStream::new(), &ids);
        prop_assert_eq!(pieces.concat(), peer.decode(&ids, true).unwrap());
        let replaced = |text: &str| text.matches(char::REPLACEMENT_CHARACTER).count();
        prop_assert_eq!(pieces.iter().map(|piece| replaced(piece)).sum::<usize>(), replaced(&text));
        prop_assert_eq!(pieces.last().map(String::as_str), Some(""));
    }
}
