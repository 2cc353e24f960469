//! Thoughts out of an answer that comes in pieces.

use super::{ReasoningSyntax, table::Syntax};
use crate::text::partial::begun;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What the model thought.
    Thought(String),
    /// Words for the person.
    Text(String),
}

/// Takes thoughts out of an answer as it comes; nothing of a mark is ever handed out.
#[derive(Clone, Debug)]
pub struct ReasoningParser {
    syntax: &'static Syntax,
    /// Not decided yet: space, or the beginning of a mark.
    held: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but space has come so far; since a mark, that space belongs to nobody.
    Between { is_first: bool },
    /// A thought; its space at the beginning is left out.
    Thought { is_blank: bool },
    /// Words.
    Text,
}

impl ReasoningParser {
    /// For an answer to a prompt that ends so: some prompts end with the mark of a thought, which then is open.
    pub fn new(syntax: ReasoningSyntax, prompt_end: &str) -> Self {
        let is_open = |mark: &&str| prompt_end.trim_end().ends_with(mark.trim_end());
        let state = if syntax.0.opens.iter().any(is_open) {
            State::Thought { is_blank: true }
        } else {
            State::Between { is_first: true }
        };
        Self { syntax: syntax.0, held: String::new(), state }
    }

    /// Whether something waits that may be part of a mark, or space that may turn out to belong to nobody.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next piece of the answer.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        while match self.state {
            State::Between { is_first } => self.begin(is_first),
            State::Thought { is_blank } => self.think(is_blank, &mut pieces),
            State::Text => self.speak(&mut pieces),
        } {}
        pieces
    }

    /// The rest, when nothing more comes.
    pub fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        let rest = match self.state {
            State::Between { is_first: true } | State::Text => Piece::Text(held),
            State::Between { is_first: false } => Piece::Text(held.trim_start().to_owned()),
            State::Thought { .. } => Piece::Thought(held.trim_end().to_owned()),
        };
        let is_empty = matches!(&rest, Piece::Text(text) | Piece::Thought(text) if text.is_empty());
        if is_empty { Vec::new() } else { vec![rest] }
    }

    /// Decides what follows the beginning, or a mark. True if there is more to do.
    fn begin(&mut self, is_first: bool) -> bool {
        let rest = self.held.trim_start();
        let space = self.held.len() - rest.len();
        if let Some((mark, next)) = self.marks().find(|(mark, _)| rest.starts_with(mark)) {
            // A longer mark may be on its way.
            if self.marks().any(|(longer, _)| longer.len() > rest.len() && longer.starts_with(rest)) {
                return false;
            }
            self.held.drain(..space + mark.len());
            self.state = next;
            return true;
        }
        // Nothing at all is the beginning of everything.
        if self.marks().any(|(mark, _)| mark.starts_with(rest)) {
            return false;
        }
        if !is_first {
            self.held.drain(..space);
        }
        self.state = State::Text;
        true
    }

    fn think(&mut self, is_blank: bool, pieces: &mut Vec<Piece>) -> bool {
        let found = self.held.find(self.syntax.close);
        let end = found.unwrap_or_else(|| self.held.len() - begun(&self.held, self.syntax.close));
        let thought = self.held[..end].trim_end();
        let shown = if is_blank { thought.trim_start() } else { thought };
        let is_still_blank = is_blank && shown.is_empty();
        if !shown.is_empty() {
            pieces.push(Piece::Thought(shown.to_owned()));
        }
        // Space at the end of a thought waits: it may be the thought's last.
        let taken = if is_still_blank { end } else { thought.len() };
        self.held.drain(..found.map_or(taken, |at| at + self.syntax.close.len()));
        self.state = if found.is_some() {
            State::Between { is_first: false }
        } else {
            State::Thought { is_blank: is_still_blank }
        };
        found.is_some()
    }

    fn speak(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let found = if self.syntax.is_anywhere {
            // The earliest, and the longest of those that begin together.
            let marks = self.marks().chain([(self.syntax.close, State::Between { is_first: false })]);
            let places = marks.filter_map(|(mark, next)| self.held.find(mark).map(|at| (at, mark, next)));
            places.min_by_key(|(at, mark, _)| (*at, usize::MAX - mark.len()))
        } else {
            None
        };
        let waits = || {
            let marks = self.marks().map(|(mark, _)| mark).chain([self.syntax.close]);
            marks.map(|mark| begun(&self.held, mark)).max().unwrap_or(0)
        };
        let (end, taken) = match found {
            // The longest mark that begins here may not be whole yet.
            Some((at, mark, _)) if self.held.len() == at + mark.len() && waits() > mark.len() => (at, at),
            Some((at, mark, _)) => (at, at + mark.len()),
            None if self.syntax.is_anywhere => (self.held.len() - waits(), self.held.len() - waits()),
            None => (self.held.len(), self.held.len()),
        };
        if end > 0 {
            pieces.push(Piece::Text(self.held[..end].to_owned()));
        }
        self.held.drain(..taken);
        match found {
            Some((_, _, next)) if taken > end => {
                self.state = next;
                true
            }
            _ => false,
        }
    }

    /// What may follow, and what it leads to.
    fn marks(&self) -> impl Iterator<Item = (&'static str, State)> + use<> {
        let opens = self.syntax.opens.iter().map(|mark| (*mark, State::Thought { is_blank: true }));
        opens.chain(self.syntax.silent.iter().map(|mark| (*mark, State::Between { is_first: false })))
    }
}
