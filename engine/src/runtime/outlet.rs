//! From an answer's text to its events: words, thoughts and calls of functions.

use crate::{
    protocol::Event,
    text::{
        reasoning::{self, ReasoningParser},
        tool_calls::{self, ToolCallParser},
    },
};

/// What is to be found in an answer besides words.
#[derive(Default)]
pub(super) struct Marks {
    /// What takes thoughts out of the text.
    pub(super) reasoning: Option<ReasoningParser>,
    /// What takes calls out of the text.
    pub(super) calls: Option<ToolCallParser>,
    /// Whether space before the first word belongs to nobody.
    pub(super) trims_start: bool,
}

/// Sorts an answer as it comes.
pub(super) struct Outlet {
    marks: Marks,
    /// The newest token, while its text may still turn out to be part of a mark.
    waiting: Option<Token>,
    calls: u32,
    seed: u32,
}

/// A token's share of the answer.
#[derive(Default)]
struct Token {
    id: u32,
    text: String,
    reasoning: String,
    calls: Vec<tool_calls::Call>,
}

impl Outlet {
    /// The seed makes ids of calls.
    pub(super) fn new(marks: Marks, seed: u32) -> Self {
        Self { marks, waiting: None, calls: 0, seed }
    }

    /// Whether functions were called so far.
    pub(super) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// What becomes of a token with its text.
    pub(super) fn push(&mut self, id: u32, text: String) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(token) = self.waiting.take() {
            self.release(token, &mut events);
        }
        let mut token = Token { id, ..Token::default() };
        match &mut self.marks.reasoning {
            Some(parser) => {
                let pieces = parser.push(&text);
                self.take(pieces, &mut token);
            }
            None => self.say(text, &mut token),
        }
        let Marks { reasoning, calls, .. } = &self.marks;
        let is_holding = reasoning.as_ref().is_some_and(ReasoningParser::is_holding)
            || calls.as_ref().is_some_and(ToolCallParser::is_holding);
        // Calls are not held back: whoever waits for one may act on it.
        let calls = std::mem::take(&mut token.calls);
        if is_holding {
            self.waiting = Some(token);
        } else {
            self.release(token, &mut events);
        }
        self.call(calls, &mut events);
        events
    }

    /// Hands out what still waits, when nothing more comes.
    pub(super) fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(mut token) = self.waiting.take() else { return events };
        if let Some(parser) = &mut self.marks.reasoning {
            let pieces = parser.finish();
            self.take(pieces, &mut token);
        }
        if let Some(parser) = &mut self.marks.calls {
            for piece in parser.finish() {
                match piece {
                    tool_calls::Piece::Text(text) => token.text.push_str(&text),
                    tool_calls::Piece::Call(call) => token.calls.push(call),
                }
            }
        }
        self.release(token, &mut events);
        events
    }

    fn take(&mut self, pieces: Vec<reasoning::Piece>, token: &mut Token) {
        for piece in pieces {
            match piece {
                reasoning::Piece::Thought(text) => token.reasoning.push_str(&text),
                reasoning::Piece::Text(text) => self.say(text, token),
            }
        }
    }

    /// Words, with the calls taken out.
    fn say(&mut self, mut text: String, token: &mut Token) {
        if self.marks.trims_start {
            text = text.trim_start().to_owned();
            self.marks.trims_start = text.is_empty();
        }
        let Some(parser) = &mut self.marks.calls else {
            token.text.push_str(&text);
            return;
        };
        for piece in parser.push(&text) {
            match piece {
                tool_calls::Piece::Text(text) => token.text.push_str(&text),
                tool_calls::Piece::Call(call) => token.calls.push(call),
            }
        }
    }

    fn release(&mut self, token: Token, events: &mut Vec<Event>) {
        let Token { id, text, reasoning, calls } = token;
        events.push(Event::Token { id, text, reasoning: Some(reasoning).filter(|text| !text.is_empty()) });
        self.call(calls, events);
    }

    fn call(&mut self, calls: Vec<tool_calls::Call>, events: &mut Vec<Event>) {
        for call in calls {
            let index = self.calls;
            self.calls += 1;
            let id = call.id.unwrap_or_else(|| call_id(self.seed, index));
            events.push(Event::ToolCall { index, id, name: call.name, arguments: call.arguments });
        }
    }
}

/// An id for a call whose model gave it none: nine letters and digits, which is what Mistral's templates insist on.
fn call_id(seed: u32, index: u32) -> String {
    let mut number = (u64::from(seed) << 14) ^ u64::from(index);
    let digit = |_| {
        let digit = (number % 36) as u32;
        number /= 36;
        char::from_digit(digit, 36).unwrap_or('0')
    };
    (0..9).map(digit).collect()
}
