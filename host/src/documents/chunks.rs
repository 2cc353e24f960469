//! A text in chunks that an encoder reads whole: paragraphs packed within their section, the end of one chunk again at
//! the beginning of the next, so that what stands on a border is found from both sides.

use std::{collections::VecDeque, ops::Range};

use super::{error::Result, source::Section};

/// Of a chunk's tokens, so many parts are one part overlap.
const OVERLAP_PART: usize = 6;

/// A part of a document that gets a vector of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The headings that lead to it; empty if there are none.
    pub heading: String,
    /// Where it is in the document's text, in bytes.
    pub range: Range<usize>,
}

/// A piece of text that is not taken apart any more.
#[derive(Clone)]
struct Piece {
    range: Range<usize>,
    tokens: usize,
}

/// Cuts a text's sections into chunks of at most so many tokens, which `count` counts.
pub fn chunks(
    text: &str,
    sections: &[Section],
    tokens_max: usize,
    count: &mut dyn FnMut(&str) -> Result<usize>,
) -> Result<Vec<Chunk>> {
    let mut all = Vec::new();
    for section in sections {
        let mut pieces = Vec::new();
        split(text, section.range.clone(), Border::Paragraph, tokens_max, count, &mut pieces)?;
        for range in packed(&pieces, tokens_max) {
            let range = trimmed(text, range);
            if !range.is_empty() {
                all.push(Chunk { heading: section.heading.clone(), range });
            }
        }
    }
    Ok(all)
}

/// Packs pieces into ranges of at most so many tokens.
fn packed(pieces: &[Piece], tokens_max: usize) -> Vec<Range<usize>> {
    let overlap_max = tokens_max / OVERLAP_PART;
    let mut ranges = Vec::new();
    let mut open: VecDeque<Piece> = VecDeque::new();
    let mut tokens = 0;
    for piece in pieces {
        if !open.is_empty() && tokens + piece.tokens > tokens_max {
            ranges.extend(span(&open));
            // What stays is the overlap; it must leave room for the piece.
            while tokens > overlap_max || (tokens > 0 && tokens + piece.tokens > tokens_max) {
                let Some(first) = open.pop_front() else { break };
                tokens -= first.tokens;
            }
        }
        tokens += piece.tokens;
        open.push_back(piece.clone());
    }
    ranges.extend(span(&open));
    ranges
}

fn span(pieces: &VecDeque<Piece>) -> Option<Range<usize>> {
    Some(pieces.front()?.range.start..pieces.back()?.range.end)
}

/// Where a text is taken apart, the best place first.
#[derive(Clone, Copy)]
enum Border {
    Paragraph,
    Sentence,
    /// In code and tables; in wrapped prose it is a place like any other.
    Line,
    Word,
    Character,
}

impl Border {
    fn finer(self) -> Self {
        match self {
            Self::Paragraph => Self::Sentence,
            Self::Sentence => Self::Line,
            Self::Line => Self::Word,
            Self::Word | Self::Character => Self::Character,
        }
    }

    /// The parts of a text, which together are all of it.
    fn parts(self, text: &str) -> Vec<&str> {
        match self {
            Self::Paragraph => paragraphs(text),
            Self::Line => text.split_inclusive('\n').collect(),
            Self::Sentence => sentences(text),
            Self::Word => text.split_inclusive(char::is_whitespace).collect(),
            Self::Character => {
                let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at));
                let (left, right) = text.split_at(middle.unwrap_or(0));
                [left, right].into_iter().filter(|part| !part.is_empty()).collect()
            }
        }
    }
}

/// Takes a range apart until each piece fits.
fn split(
    text: &str,
    range: Range<usize>,
    border: Border,
    tokens_max: usize,
    count: &mut dyn FnMut(&str) -> Result<usize>,
    pieces: &mut Vec<Piece>,
) -> Result<()> {
    let Some(whole) = text.get(range.clone()) else { return Ok(()) };
    let parts = border.parts(whole);
    let mut at = range.start;
    for part in &parts {
        let range = at..at + part.len();
        at = range.end;
        let tokens = count(part)?;
        // One character is the least there is, however many tokens it has: the encoder cuts it.
        let is_least = part.chars().nth(1).is_none();
        if tokens <= tokens_max || is_least {
            pieces.push(Piece { range, tokens });
        } else {
            split(text, range, border.finer(), tokens_max, count, pieces)?;
        }
    }
    Ok(())
}

/// Parts that end with their empty lines.
fn paragraphs(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut at, mut was_empty) = (Vec::new(), 0, 0, false);
    for line in text.split_inclusive('\n') {
        let is_empty = line.trim().is_empty();
        if was_empty && !is_empty && at > start {
            parts.extend(text.get(start..at));
            start = at;
        }
        was_empty = is_empty;
        at += line.len();
    }
    parts.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    parts
}

/// Parts that end with a full stop and a space, or with a sign that ends sentences by itself.
fn sentences(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let ends = match character {
            '.' | '!' | '?' => characters.peek().is_some_and(|(_, next)| next.is_whitespace()),
            '。' | '！' | '？' => true,
            _ => false,
        };
        if ends {
            let end = at + character.len_utf8();
            parts.extend(text.get(start..end));
            start = end;
        }
    }
    parts.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    parts
}

/// The range without the space around its text.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and signs, a token each; a long word has one for each four bytes.
    #[allow(clippy::unnecessary_wraps, reason = "what is asked for")]
    fn count(text: &str) -> Result<usize> {
        Ok(text.split_whitespace().map(|word| word.len().div_ceil(4)).sum())
    }

    fn cut(text: &str, tokens_max: usize) -> Vec<Chunk> {
        let sections = [Section { heading: "H".into(), range: 0..text.len() }];
        chunks(text, &sections, tokens_max, &mut count).unwrap()
    }

    #[test]
    fn each_chunk_fits_and_together_they_are_all_of_the_text() {
        let sentence = "The men kept the light. And it was warm; so they said!\nNobody came 。火と水。 ";
        let text = format!("{}\n\n \n{}\n\n{}", sentence.repeat(9), "x".repeat(333), "火".repeat(200));
        for tokens_max in [1, 3, 7, 24, 60, 5000] {
            let found = cut(&text, tokens_max);
            let mut covered = vec![false; text.len()];
            for chunk in &found {
                let part = &text[chunk.range.clone()];
                let is_least = part.chars().nth(1).is_none();
                assert!(count(part).unwrap() <= tokens_max || is_least, "{tokens_max}: {part:?}");
                assert_eq!(part, part.trim());
                covered[chunk.range.clone()].fill(true);
            }
            let left: String = text.char_indices().filter(|(at, _)| !covered[*at]).map(|(_, left)| left).collect();
            assert_eq!(left.trim(), "", "{tokens_max}");
        }
        assert_eq!(cut(&text, 5000).len(), 1);
    }

    #[test]
    fn the_end_of_a_chunk_begins_the_next_and_no_paragraph_is_cut_without_need() {
        let text =
            "one two\n\nthree four five six seven eight nine\n\nten\n\neleven twelve one two three four five six";
        let found: Vec<&str> = cut(text, 15).into_iter().map(|chunk| &text[chunk.range]).collect();
        let expected = [
            "one two\n\nthree four five six seven eight nine\n\nten",
            "ten\n\neleven twelve one two three four five six",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn chunks_keep_to_their_section() {
        let text = "alpha beta";
        let sections = [Section { heading: "A".into(), range: 0..6 }, Section { heading: "B".into(), range: 6..10 }];
        let found = chunks(text, &sections, 100, &mut count).unwrap();
        assert_eq!(found[0], Chunk { heading: "A".into(), range: 0..5 });
        assert_eq!(found[1], Chunk { heading: "B".into(), range: 6..10 });
    }
}
