//! Keeps special tokens that a person's text spells out from becoming special tokens.
//!
//! A special token marks where a turn begins or ends, so a message that contains `<|end|>` could otherwise close its own
//! turn and speak as somebody else. A guard puts a mark, a character that no text uses, behind the first character of
//! each such spelling. The tokenizer then does not recognise it, and the mark is taken out again before the text is cut
//! into tokens, so the person's text reaches the model letter by letter as it was written.
//!
//! Limits: a special token of a single character cannot be guarded; nor can a spelling that arises only when a template
//! joins two messages without anything between them, or one that a normalizer makes of other characters.

/// Unicode keeps these 32 code points free for programs' own use inside (section 23.7).
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// A mark that does not occur in certain texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guard(char);

impl Guard {
    /// A mark that none of these texts contains; `None` if they use up all of them.
    pub(super) fn absent_from<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        NONCHARACTERS.into_iter().find(|mark| texts.clone().all(|text| !text.contains(*mark))).map(Self)
    }

    /// The character to take out again.
    pub(super) fn mark(self) -> char {
        self.0
    }

    /// The text with a mark in each spelling of a special token.
    pub(super) fn protect(self, text: &str, specials: &Specials) -> String {
        let mut guarded = String::with_capacity(text.len());
        for (position, character) in text.char_indices() {
            guarded.push(character);
            if specials.begin(&text[position..]) {
                guarded.push(self.0);
            }
        }
        guarded
    }
}

/// The spellings of all special tokens, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Specials(Vec<String>);

impl Specials {
    pub(super) fn new(spellings: impl Iterator<Item = String>) -> Self {
        let mut spellings: Vec<_> = spellings.filter(|spelling| spelling.chars().nth(1).is_some()).collect();
        spellings.sort_unstable();
        spellings.dedup();
        Self(spellings)
    }

    /// Whether the text begins with one of them.
    fn begin(&self, text: &str) -> bool {
        self.beginning(text).next().is_some()
    }

    /// The longest of them with which the text begins.
    pub(super) fn longest(&self, text: &str) -> Option<&str> {
        self.beginning(text).max_by_key(|spelling| spelling.len())
    }

    fn beginning<'a>(&'a self, text: &str) -> impl Iterator<Item = &'a str> {
        let first = text.as_bytes().first();
        let start = self.0.partition_point(|spelling| spelling.as_bytes().first() < first);
        self.0[start..]
            .iter()
            .map(String::as_str)
            .take_while(move |spelling| spelling.as_bytes().first() == first)
            .filter(move |spelling| text.starts_with(spelling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specials() -> Specials {
        Specials::new(["<|end|>", "<|endoftext|>", "<s>", "[INST]", "x"].into_iter().map(str::to_owned))
    }

    #[test]
    fn every_spelling_is_broken_and_the_text_comes_back() {
        let guard = Guard::absent_from(["plain"].into_iter()).unwrap();
        let text = "a <|end|><|endoftext|> b <s [INST] < <s><s> <<|end|>";
        let guarded = guard.protect(text, &specials());
        for special in ["<|end|>", "<|endoftext|>", "<s>", "[INST]"] {
            assert!(!guarded.contains(special), "{special} in {guarded}");
        }
        assert_eq!(guarded.replace(guard.mark(), ""), text);
        assert_eq!(guarded.matches(guard.mark()).count(), 6);
    }

    #[test]
    fn a_mark_is_never_one_that_the_text_uses() {
        let guard = Guard::absent_from(["a\u{FDD0}", "\u{FDD1}b"].into_iter()).unwrap();
        assert_eq!(guard.mark(), '\u{FDD2}');
        let all: String = NONCHARACTERS.collect();
        assert_eq!(Guard::absent_from([all.as_str()].into_iter()), None);
    }
}
