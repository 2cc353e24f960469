//! Answers of a given form without a model: tokens drawn at random, as wild as any temperature.

use hearth_engine::{
    Result,
    decode::{Grammars, TokenMask},
    protocol::Constraint,
    text::{TextStream, Tokenizer},
};

use crate::sessions;

/// A vocabulary that answers at random.
pub struct Babbler {
    tokenizer: Tokenizer,
    grammars: Grammars,
    /// What each token adds to its own logit, for each token before it: texts come to an end.
    haste: Vec<f32>,
    /// What each token adds to its own logit, always.
    taste: Vec<f32>,
}

impl Babbler {
    /// With the tokenizer of one of the repository's models.
    pub fn new(model: &str) -> Self {
        let opened = sessions::open(model);
        let tokenizer = Tokenizer::from_documents(&opened.documents).expect("it has a tokenizer");
        let size = tokenizer.vocab_size();
        let grammars = Grammars::for_tokens(&tokenizer, tokenizer.end_of_turn(), size).expect("it has a vocabulary");
        let haste = (0..size as u32).map(|id| {
            let first = tokenizer.token_bytes(id).and_then(|bytes| bytes.first());
            let ends = tokenizer.end_of_turn().contains(&id) || first.is_some_and(|byte| b"\"}],".contains(byte));
            if ends { 0.3 } else { 0.0 }
        });
        Self { haste: haste.collect(), taste: vec![0.0; size], grammars, tokenizer }
    }

    /// The same, with a liking for tokens that begin with one of these bytes.
    pub fn liking(mut self, bytes: &[u8]) -> Self {
        for (id, taste) in self.taste.iter_mut().enumerate() {
            let first = self.tokenizer.token_bytes(id as u32).and_then(|token| token.first());
            *taste = if first.is_some_and(|byte| bytes.contains(byte)) { 40.0 } else { 0.0 };
        }
        self
    }

    /// Compiles a constraint.
    pub fn compile(&self, constraint: &Constraint) -> Result<TokenMask> {
        self.grammars.compile(constraint)
    }

    /// One text of a form; `None` if it had not ended after so many tokens.
    pub fn text(&self, constraint: &Constraint, seed: u64, tokens_max: usize) -> Result<Option<String>> {
        let mut mask = self.compile(constraint)?;
        let mut random = Random(seed);
        let mut stream = TextStream::continuing();
        let mut text = String::new();
        for step in 0..tokens_max {
            let mut logits: Vec<f32> = self
                .haste
                .iter()
                .zip(&self.taste)
                .map(|(haste, taste)| random.unit() * 4.0 + taste + haste * step as f32)
                .collect();
            mask.apply(&mut logits)?;
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("there are tokens");
            assert!(logits[best] > f32::NEG_INFINITY, "nothing is allowed after {text:?}");
            let id = best as u32;
            if self.tokenizer.end_of_turn().contains(&id) {
                return Ok(Some(text));
            }
            text += &stream.push(&self.tokenizer, id);
            mask.push(id)?;
            if mask.is_complete() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }
}

/// SplitMix64 (Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but not, 1.
    pub fn unit(&mut self) -> f32 {
        (self.draw() >> 40) as f32 / (1 << 24) as f32
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        (self.draw() % count as u64) as usize
    }
}
