//! SentencePiece (Kudo and Richardson 2018): a vocabulary of scored pieces, cut by BPE or by a unigram model, and rules
//! for what is done to a text before. It comes as `tokenizer.model` or within a GGUF.

pub(super) mod charsmap;
mod proto;

use tokenizers::{
    AddedToken,
    decoders::{
        DecoderWrapper, byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as DecoderSequence, strip::Strip,
    },
    models::{
        bpe::{BPE, Merges, Vocab},
        unigram::Unigram,
    },
    normalizers::{NormalizerWrapper, Prepend, Replace, Sequence as NormalizerSequence, replace::ReplacePattern},
    tokenizer::Tokenizer as Inner,
};

pub(super) use charsmap::Charsmap;

use crate::{Error, Result};

/// Stands for a space.
const SPACE: &str = "\u{2581}";
/// Longer tokens are never made by joining; the longest of real vocabularies are runs of a hundred spaces.
const JOINED_MAX_BYTES: usize = 512;

/// What a piece is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// A piece of the vocabulary.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: Kind,
}

/// What is done to a text before it is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Which characters become which, before anything else is done.
    pub charsmap: Option<Charsmap>,
    /// Whether a space is put before each text.
    pub add_prefix: bool,
    /// Whether spaces at both ends go, and runs of them become one.
    pub remove_extra_spaces: bool,
}

impl Default for Rules {
    /// As the file means them where it does not say.
    fn default() -> Self {
        Self { charsmap: None, add_prefix: true, remove_extra_spaces: true }
    }
}

/// All that makes a tokenizer.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    pub pieces: Vec<Piece>,
    pub is_unigram: bool,
    pub byte_fallback: bool,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub rules: Rules,
}

impl Default for Vocabulary {
    /// As `tokenizer.model` means it where it does not say.
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            is_unigram: true,
            byte_fallback: false,
            bos: Some(1),
            eos: Some(2),
            rules: Rules::default(),
        }
    }
}

fn failed(error: impl ToString) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}

impl Vocabulary {
    /// From the bytes of `tokenizer.model`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        proto::parse(bytes)
    }

    /// The tokenizer, its added tokens included.
    pub(super) fn build(&self) -> Result<Inner> {
        let mut inner = if self.is_unigram { Inner::new(self.unigram()?) } else { Inner::new(self.bpe()?) };
        inner.with_normalizer(Some(self.rules.normalizer()?));
        inner.with_decoder(Some(self.rules.decoder()?));
        let added = self.pieces.iter().filter_map(|piece| match piece.kind {
            Kind::Unknown | Kind::Control => Some(AddedToken::from(piece.text.clone(), true)),
            // The unigram model finds these by itself; BPE has to be given them.
            Kind::UserDefined if !self.is_unigram => Some(AddedToken::from(piece.text.clone(), false)),
            _ => None,
        });
        inner.add_tokens(&added.map(|token| token.normalized(false)).collect::<Vec<_>>());
        Ok(inner)
    }

    fn unknown(&self) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.kind == Kind::Unknown)
    }

    /// Of all neighbours whose join is a token, the two whose join has the highest score are joined first: what BPE
    /// does with every possible pair in the order of their join's score.
    fn bpe(&self) -> Result<BPE> {
        let mut vocab = Vocab::default();
        for (id, piece) in self.pieces.iter().enumerate() {
            vocab.entry(piece.text.clone()).or_insert(u32::try_from(id).map_err(failed)?);
        }
        let merges = self.merges(&vocab);
        let mut model = BPE::builder().vocab_and_merges(vocab, merges).byte_fallback(self.byte_fallback).fuse_unk(true);
        if let Some(unknown) = self.unknown() {
            model = model.unk_token(self.pieces[unknown].text.clone());
        }
        model.build().map_err(failed)
    }

    /// Every pair of tokens whose join is a token, the best join first.
    fn merges(&self, vocab: &Vocab) -> Merges {
        let is_joined = |piece: &&Piece| {
            matches!(piece.kind, Kind::Normal | Kind::UserDefined) && piece.text.len() <= JOINED_MAX_BYTES
        };
        let mut joins: Vec<&Piece> = self.pieces.iter().filter(is_joined).collect();
        joins.sort_by(|left, right| right.score.total_cmp(&left.score));
        let pairs = joins.into_iter().flat_map(|piece| {
            let splits = piece.text.char_indices().skip(1).map(|(middle, _)| piece.text.split_at(middle));
            splits.filter(|(left, right)| vocab.contains_key(*left) && vocab.contains_key(*right))
        });
        pairs.map(|(left, right)| (left.to_owned(), right.to_owned())).collect()
    }

    /// The cut whose pieces have the highest sum of scores (Kudo 2018).
    fn unigram(&self) -> Result<Unigram> {
        if self.pieces.iter().any(|piece| !piece.score.is_finite()) {
            return Err(failed("a piece's score is not a number"));
        }
        let normal = || self.pieces.iter().filter(|piece| piece.kind == Kind::Normal).map(|piece| piece.score);
        // SentencePiece looks for the highest score from the least positive number on, and scores are logarithms: so the
        // highest is almost always that number, and a user-defined piece almost free.
        let (highest, lowest) = (normal().fold(f32::MIN_POSITIVE, f32::max), normal().fold(f32::MAX, f32::min));
        let score = |piece: &Piece| match piece.kind {
            // Better than any cut of the same text.
            Kind::UserDefined => f64::from(highest) * piece.text.len() as f64 - 0.1,
            Kind::Normal => f64::from(piece.score),
            // Never chosen; not below the lowest, from which the cost of an unknown character is counted.
            _ => f64::from(lowest),
        };
        // A text is never cut into what is no text: such pieces get a spelling that cannot occur.
        let text = |(id, piece): (usize, &Piece)| match piece.kind {
            Kind::Normal | Kind::UserDefined | Kind::Byte => piece.text.clone(),
            Kind::Unknown | Kind::Control | Kind::Unused => format!("\u{0}{id}\u{0}{}", piece.text),
        };
        let vocab: Vec<(String, f64)> =
            self.pieces.iter().enumerate().map(|entry| (text(entry), score(entry.1))).collect();
        Unigram::from(vocab, self.unknown(), self.byte_fallback).map_err(failed)
    }
}

impl Rules {
    /// Extra spaces go, then comes a space before the text, and each space by its sign.
    fn normalizer(&self) -> Result<NormalizerSequence> {
        let mut steps: Vec<NormalizerWrapper> = Vec::new();
        let mut replace = |pattern: ReplacePattern, by: &str| -> Result<()> {
            steps.push(Replace::new(pattern, by).map_err(failed)?.into());
            Ok(())
        };
        if self.remove_extra_spaces {
            replace(ReplacePattern::Regex("^ +|[ \u{2581}]+$".to_owned()), "")?;
            replace(ReplacePattern::Regex(" {2,}".to_owned()), " ")?;
        }
        if self.add_prefix {
            steps.push(Prepend::new(SPACE.to_owned()).into());
        }
        steps.push(Replace::new(" ", SPACE).map_err(failed)?.into());
        Ok(NormalizerSequence::new(steps))
    }

    /// The way back.
    fn decoder(&self) -> Result<DecoderSequence> {
        let mut steps: Vec<DecoderWrapper> =
            vec![Replace::new(SPACE, " ").map_err(failed)?.into(), ByteFallback::new().into(), Fuse::new().into()];
        if self.add_prefix {
            steps.push(Strip::new(' ', 1, 0).into());
        }
        Ok(DecoderSequence::new(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the sentencepiece library cuts it: by the sum of the other scores "t", "en", "sort" would be better.
    #[test]
    fn a_user_defined_piece_is_taken_even_if_the_cut_around_it_is_costly() {
        let piece = |text: &str, score, kind| Piece { text: text.to_owned(), score, kind };
        let scored = [("t", -6.2), ("en", -2.9), ("sort", -3.1), ("z", -8.9), ("stop", -9.5)];
        let mut pieces = vec![piece("<unk>", 0.0, Kind::Unknown), piece("tensor", 0.0, Kind::UserDefined)];
        pieces.extend(scored.map(|(text, score)| piece(text, score, Kind::Normal)));
        let rules = Rules { add_prefix: false, ..Rules::default() };
        let inner = Vocabulary { pieces, rules, ..Vocabulary::default() }.build().unwrap();
        assert_eq!(inner.encode("stoptensortz", false).unwrap().get_tokens(), ["stop", "tensor", "t", "z"]);
    }
}
