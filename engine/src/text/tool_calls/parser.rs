//! Calls out of an answer that comes in pieces.

use serde_json::Value;

use super::{
    ToolSyntax, quoted, read,
    table::{Shape, Start, Syntax},
};
use crate::{protocol::ToolDefinition, text::partial::begun};

/// Bytes of a name and what stands around it; what is longer is no call.
const LABEL_BYTES_MAX: usize = 512;

/// A call as the model wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where the model gave one.
    pub id: Option<String>,
    /// The function.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words for the person.
    Text(String),
    /// A call.
    Call(Call),
}

/// Takes calls out of an answer as it comes. Whatever is no whole call in the end comes out as text.
#[derive(Clone, Debug)]
pub struct ToolCallParser {
    syntax: &'static Syntax,
    tools: Vec<ToolDefinition>,
    /// Not decided yet: the beginning of a mark, or the inside of a call.
    held: String,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing but space has come so far, since the beginning or since a call.
    Between { is_first: bool },
    /// Words.
    Text,
    /// The inside of a call.
    Call(Inside),
}

/// How far a call has been read, as places in what is held.
#[derive(Clone, Debug, Default)]
struct Inside {
    /// The mark with which it began.
    open: &'static str,
    /// Where its label ends and its head begins, and where that ends.
    head: Option<(usize, usize)>,
    /// Where its JSON begins.
    json: Option<usize>,
    /// Up to here everything has been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

/// What became of a call.
enum Verdict {
    More,
    /// Calls, and how many bytes they took.
    Whole(Vec<Call>, usize),
    /// So many bytes are text after all.
    Text(usize),
    /// So many bytes belong to nobody, and text follows.
    Skip(usize),
}

impl ToolCallParser {
    /// For an answer of a model that writes calls in this way and knows these tools.
    pub fn new(syntax: ToolSyntax, tools: &[ToolDefinition]) -> Self {
        let state = if syntax.0.start == Start::Call {
            State::Call(Inside::default())
        } else {
            State::Between { is_first: true }
        };
        Self { syntax: syntax.0, tools: tools.to_vec(), held: String::new(), state }
    }

    /// Whether something waits that may become a call.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty() || matches!(self.state, State::Call(_))
    }

    /// Takes the next piece of the answer.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        while match std::mem::replace(&mut self.state, State::Text) {
            State::Between { is_first } => self.begin(is_first),
            State::Text => self.text(&mut pieces),
            State::Call(inside) => self.call(inside, &mut pieces),
        } {}
        pieces
    }

    /// The rest, when nothing more comes.
    pub fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if let State::Call(inside) = std::mem::replace(&mut self.state, State::Text) {
            say(&mut pieces, inside.open);
        }
        let rest = std::mem::take(&mut self.held);
        say(&mut pieces, &rest);
        pieces
    }

    /// Decides what follows the beginning, or a call. True if there is more to do.
    fn begin(&mut self, is_first: bool) -> bool {
        let takes_object = self.syntax.start == Start::Object;
        let separators: &[char] =
            if takes_object && !is_first { &[';', ' ', '\n', '\r', '\t'] } else { &[' ', '\n', '\r', '\t'] };
        let rest = self.held.trim_start_matches(separators);
        let Some(next) = rest.chars().next() else {
            // Space after a call belongs to nobody; before words it is theirs.
            if !is_first {
                self.held.clear();
            }
            self.state = State::Between { is_first };
            return false;
        };
        // Where calls are written in fences, one is still open.
        if !is_first && next == '`' && self.is_fenced() {
            let ticks = rest.bytes().take_while(|byte| *byte == b'`').count();
            let is_more_to_come = ticks < 3 && ticks == rest.len();
            if ticks >= 3 {
                self.held.drain(..self.held.len() - rest.len() + 3);
            }
            self.state = if ticks >= 3 || is_more_to_come { State::Between { is_first } } else { State::Text };
            return !is_more_to_come;
        }
        let is_object = takes_object && next == '{';
        if is_object || !is_first {
            self.held.drain(..self.held.len() - rest.len());
        }
        self.state = if is_object { State::Call(Inside::default()) } else { State::Text };
        true
    }

    fn is_fenced(&self) -> bool {
        match &self.syntax.shape {
            Shape::Json { written } | Shape::Named { written, .. } => written.2.contains("```"),
            Shape::Tagged { .. } | Shape::Quoted { .. } => false,
        }
    }

    fn text(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let marks = || {
            self.syntax
                .opens
                .iter()
                .map(|mark| (*mark, true))
                .chain(self.syntax.silent.iter().map(|mark| (*mark, false)))
        };
        // The earliest, and the longest of those that begin together.
        let found = marks().filter_map(|(mark, opens)| self.held.find(mark).map(|at| (at, mark, opens)));
        let Some((at, mark, opens)) = found.min_by_key(|(at, mark, _)| (*at, usize::MAX - mark.len())) else {
            let waits = marks().map(|(mark, _)| begun(&self.held, mark)).max().unwrap_or(0);
            let said: String = self.held.drain(..self.held.len() - waits).collect();
            say(pieces, &said);
            return false;
        };
        say(pieces, &self.held[..at]);
        self.held.drain(..at + mark.len());
        self.state = if opens {
            State::Call(Inside { open: mark, ..Inside::default() })
        } else {
            State::Between { is_first: false }
        };
        true
    }

    fn call(&mut self, mut inside: Inside, pieces: &mut Vec<Piece>) -> bool {
        let verdict = match &self.syntax.shape {
            Shape::Tagged { close, .. } | Shape::Quoted { close, .. } => self.closed(close, &mut inside),
            Shape::Json { .. } => self.json(None, &mut inside),
            Shape::Named { head, .. } => self.json(Some(head), &mut inside),
        };
        match verdict {
            Verdict::More => {
                self.state = State::Call(inside);
                return false;
            }
            Verdict::Whole(calls, bytes) => {
                pieces.extend(calls.into_iter().map(Piece::Call));
                self.held.drain(..bytes);
                self.state = State::Between { is_first: false };
            }
            Verdict::Text(bytes) => {
                say(pieces, inside.open);
                say(pieces, &self.held[..bytes]);
                self.held.drain(..bytes);
            }
            Verdict::Skip(bytes) => {
                self.held.drain(..bytes);
            }
        }
        true
    }

    /// A call that ends with a mark.
    fn closed(&self, close: &str, inside: &mut Inside) -> Verdict {
        let Some(at) = self.held[inside.scanned..].find(close).map(|at| at + inside.scanned) else {
            inside.scanned = self.held.floor_char_boundary(self.held.len().saturating_sub(close.len()));
            return Verdict::More;
        };
        let calls = match &self.syntax.shape {
            Shape::Tagged { tags, .. } => read::tagged(&self.held[..at], tags, &self.tools),
            Shape::Quoted { head, quote, .. } => quoted::call(&self.held[..at], head, quote).map(|call| vec![call]),
            _ => None,
        };
        match calls {
            Some(calls) => Verdict::Whole(calls, at + close.len()),
            None => Verdict::Text(at + close.len()),
        }
    }

    /// A call that ends with a JSON value.
    fn json(&self, head: Option<&str>, inside: &mut Inside) -> Verdict {
        let start = match inside.json {
            Some(start) => start,
            None => match self.json_start(head, inside) {
                Ok(start) => start,
                Err(verdict) => return verdict,
            },
        };
        inside.json = Some(start);
        inside.scanned = inside.scanned.max(start);
        let Some(end) = scan(&self.held, inside) else { return Verdict::More };
        let json = &self.held[start..end];
        let calls = match (&self.syntax.shape, inside.head) {
            (Shape::Named { id, .. }, Some((label, from))) => {
                read::named(&self.held[..label], &self.held[from..start], json, id.as_ref()).map(|call| vec![call])
            }
            _ => read::objects(json, &self.tools, inside.open.is_empty()),
        };
        calls.map_or(Verdict::Text(end), |calls| Verdict::Whole(calls, end))
    }

    /// Where the JSON of a call begins, once that is certain.
    fn json_start(&self, head: Option<&str>, inside: &mut Inside) -> Result<usize, Verdict> {
        let held = &self.held;
        let bare = held.trim_start();
        let fenced = bare.strip_prefix("```json").or_else(|| bare.strip_prefix("```")).unwrap_or(bare).trim_start();
        if fenced.is_empty() || "```json".starts_with(bare) {
            return Err(if held.len() > LABEL_BYTES_MAX { Verdict::Text(held.len()) } else { Verdict::More });
        }
        if fenced.starts_with(['{', '[']) && inside.head.is_none() {
            return Ok(held.len() - fenced.len());
        }
        let Some(head) = head else { return Err(Verdict::Text(0)) };
        let (_, from) = match inside.head {
            Some(head) => head,
            None => match held.find(head) {
                Some(at) => (at, at + head.len()),
                None if held.len() > LABEL_BYTES_MAX => return Err(Verdict::Text(held.len())),
                None => return Err(Verdict::More),
            },
        };
        let label = from - head.len();
        // Functionary's recipient of what is no call.
        if self.syntax.start == Start::Call && held[..label].trim() == "all" {
            return Err(Verdict::Skip(from));
        }
        inside.head = Some((label, from));
        match held[from..].find(['{', '[']) {
            Some(at) => Ok(from + at),
            None if held.len() > 2 * LABEL_BYTES_MAX => Err(Verdict::Text(held.len())),
            None => Err(Verdict::More),
        }
    }
}

/// Goes on through a JSON value; where it ends, if it does.
fn scan(held: &str, inside: &mut Inside) -> Option<usize> {
    for (at, byte) in held.bytes().enumerate().skip(inside.scanned) {
        inside.scanned = at + 1;
        match byte {
            _ if inside.is_escaped => inside.is_escaped = false,
            b'\\' if inside.in_string => inside.is_escaped = true,
            b'"' => inside.in_string = !inside.in_string,
            b'{' | b'[' if !inside.in_string => inside.depth += 1,
            b'}' | b']' if !inside.in_string => {
                inside.depth = inside.depth.saturating_sub(1);
                if inside.depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Adds text, to the text before it if there is some.
fn say(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(said)) => said.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}
