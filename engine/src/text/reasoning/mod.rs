//! What a model thinks before it answers, apart from the answer.
//!
//! Models that reason write their thoughts between marks, and their chat templates show which: the marks that stand in
//! the template's text are looked up in a [table](table). A [`ReasoningParser`] then takes the thoughts out of an answer
//! as it comes.

mod parser;
mod table;

pub use parser::{Piece, ReasoningParser};

use self::table::{SYNTAXES, Syntax};
use super::Tokenizer;

/// The way in which a model writes its thoughts.
#[derive(Clone, Copy, Debug)]
pub struct ReasoningSyntax(&'static Syntax);

impl ReasoningSyntax {
    /// From the text of the model's chat template; `None` if it shows no way.
    pub fn detect(template: &str) -> Option<Self> {
        SYNTAXES.iter().find(|syntax| syntax.evidence.iter().all(|mark| template.contains(mark))).map(Self)
    }

    /// The family's name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Special tokens that mark thoughts: text must show them, or the parser would not see them.
    pub fn special_tokens(self, tokenizer: &Tokenizer) -> Vec<u32> {
        let marks = self.0.opens.iter().chain(self.0.silent).chain([&self.0.close]);
        let tokens = marks.flat_map(|mark| tokenizer.specials_in(mark));
        tokens.filter(|id| !tokenizer.end_of_turn().contains(id)).collect()
    }
}
