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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::{reasoning::ReasoningSyntax, tool_calls::ToolSyntax};

    fn marks(prompt_end: &str) -> Marks {
        let reasoning = ReasoningSyntax::detect("<think></think>").map(|way| ReasoningParser::new(way, prompt_end));
        let calls = ToolSyntax::detect("<tool_call>").map(|way| ToolCallParser::new(way, &[]));
        assert!(reasoning.is_some() && calls.is_some());
        Marks { reasoning, calls, trims_start: false }
    }

    /// All events of an answer whose tokens are these.
    fn events(marks: Marks, tokens: &[&str]) -> (Vec<Event>, bool) {
        let mut outlet = Outlet::new(marks, 7);
        let mut events = Vec::new();
        for (id, text) in tokens.iter().enumerate() {
            events.extend(outlet.push(id as u32, (*text).to_owned()));
        }
        events.extend(outlet.finish());
        (events, outlet.has_calls())
    }

    /// Numbers of the tokens, words, thoughts, and names of the calls.
    fn sorted(events: &[Event]) -> (Vec<u32>, String, String, Vec<&str>) {
        let (mut ids, mut words, mut thoughts, mut calls) = (vec![], String::new(), String::new(), vec![]);
        for event in events {
            match event {
                Event::Token { id, text, reasoning } => {
                    ids.push(*id);
                    words.push_str(text);
                    thoughts.push_str(reasoning.as_deref().unwrap_or_default());
                }
                Event::ToolCall { name, .. } => calls.push(name.as_str()),
                other => panic!("{other:?}"),
            }
        }
        (ids, words, thoughts, calls)
    }

    #[test]
    fn every_token_comes_once_and_in_order_whatever_is_taken_out() {
        let tokens = [
            "<th",
            "ink>",
            "\nTwo",
            " and",
            "\n",
            "two",
            "\n</",
            "think>",
            "\n\n",
            "Let me see.\n",
            "<tool",
            "_call>",
            "{\"name\": \"sum\"",
            "}",
            "</tool_call>",
            "\n",
            "Done",
            " <",
        ];
        for cut in 0..tokens.len() {
            // The first of them in one piece, as a tokenizer with longer tokens has it.
            let start = tokens[..cut].concat();
            let given: Vec<&str> = [start.as_str()].into_iter().chain(tokens[cut..].iter().copied()).collect();
            let (events, has_calls) = events(marks(""), &given);
            let (ids, words, thoughts, calls) = sorted(&events);
            assert_eq!(ids, (0..given.len() as u32).collect::<Vec<_>>());
            assert_eq!((words.as_str(), thoughts.as_str()), ("Let me see.\nDone <", "Two and\ntwo"), "{given:?}");
            assert_eq!((calls, has_calls), (vec!["sum"], true));
        }
    }

    #[test]
    fn a_thought_that_the_prompt_began_goes_on() {
        let (events, _) = events(marks("<|assistant|><think>\n"), &["Two", "</think>", "Four."]);
        let token = |id, text: &str, reasoning: Option<&str>| Event::Token {
            id,
            text: text.to_owned(),
            reasoning: reasoning.map(str::to_owned),
        };
        assert_eq!(events, [token(0, "", Some("Two")), token(1, "", None), token(2, "Four.", None)]);
    }

    #[test]
    fn an_answer_without_marks_is_left_as_it_is() {
        let (found, _) = events(Marks::default(), &[" <think>", "a", ""]);
        assert_eq!(sorted(&found), (vec![0, 1, 2], " <think>a".to_owned(), String::new(), vec![]));
        let (found, _) = events(Marks { trims_start: true, ..Marks::default() }, &[" \n", " a", " b"]);
        assert_eq!(sorted(&found), (vec![0, 1, 2], "a b".to_owned(), String::new(), vec![]));
    }

    #[test]
    fn ids_of_calls_are_nine_letters_and_never_the_same() {
        let answer = "<tool_call>{\"name\": \"a\"}</tool_call><tool_call>{\"name\": \"b\", \"arguments\": {\"c\": 1}}</tool_call>";
        let (found, _) = events(marks(""), &[answer]);
        let calls: Vec<_> = found
            .iter()
            .filter_map(|event| match event {
                Event::ToolCall { index, id, arguments, .. } => Some((*index, id.clone(), arguments.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(calls.len(), 2);
        assert!(calls[0].1 != calls[1].1 && calls.iter().all(|call| call.1.len() == 9), "{calls:?}");
        assert_eq!((calls[1].0, &calls[1].2), (1, &json!({"c": 1})));
    }
}
