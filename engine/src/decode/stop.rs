//! Texts at which an answer ends. They may be spread over several tokens, so whatever could be the beginning of one is
//! held back.

use crate::protocol::StopReason;

/// Looks for stop texts in a stream.
#[derive(Clone, Debug, Default)]
pub struct StopTexts {
    texts: Vec<(String, StopReason)>,
    held: String,
}

/// What a piece of text leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What can be shown.
    pub text: String,
    /// What came with a stop text: the answer's end.
    pub stopped: Option<StopReason>,
}

impl StopTexts {
    /// Empty texts are ignored.
    pub fn new(texts: &[String]) -> Self {
        Self::default().with(texts.iter().map(String::as_str), StopReason::StopText)
    }

    /// With texts that begin another's turn, in a conversation that is written without marks.
    pub fn with_turn_ends(self, texts: &[&str]) -> Self {
        self.with(texts.iter().copied(), StopReason::EndOfTurn)
    }

    fn with<'a>(mut self, texts: impl Iterator<Item = &'a str>, reason: StopReason) -> Self {
        self.texts.extend(texts.filter(|text| !text.is_empty()).map(|text| (text.to_owned(), reason)));
        self
    }

    /// Whether some text is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) -> Verdict {
        if self.texts.is_empty() {
            return Verdict { text: piece.to_owned(), stopped: None };
        }
        self.held.push_str(piece);
        let found = self.texts.iter().filter_map(|(text, reason)| Some((self.held.find(text.as_str())?, *reason)));
        if let Some((at, reason)) = found.min_by_key(|(at, _)| *at) {
            let text = self.held[..at].to_owned();
            self.held.clear();
            return Verdict { text, stopped: Some(reason) };
        }
        // The earliest place from which the rest could still become a stop text.
        let keep_from = self
            .held
            .char_indices()
            .map(|(at, _)| at)
            .find(|at| self.texts.iter().any(|(text, _)| text.starts_with(&self.held[*at..])))
            .unwrap_or(self.held.len());
        let rest = self.held.split_off(keep_from);
        Verdict { text: std::mem::replace(&mut self.held, rest), stopped: None }
    }

    /// What was held back, when nothing more comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut stop = StopTexts::new(&stops.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let mut shown = String::new();
        for piece in pieces {
            let verdict = stop.push(piece);
            shown += &verdict.text;
            if verdict.stopped.is_some() {
                return (shown, true);
            }
        }
        (shown + &stop.finish(), false)
    }

    #[test]
    fn a_stop_text_over_several_pieces_is_found_and_hidden() {
        assert_eq!(run(&["\nUser:"], &["Hi", "\nUs", "er", ": x"]), ("Hi".into(), true));
        assert_eq!(run(&["\nUser:"], &["Hi\nUs", "eful"]), ("Hi\nUseful".into(), false));
        assert_eq!(run(&["aab"], &["aaa", "b"]), ("a".into(), true));
        assert_eq!(run(&["zz", "b"], &["ab", "zz"]), ("a".into(), true));
        assert_eq!(run(&[""], &["a"]), ("a".into(), false));
        assert_eq!(run(&["é!"], &["aé", "?"]), ("aé?".into(), false));
    }

    #[test]
    fn a_stop_text_and_anothers_turn_are_told_apart() {
        let stop = || StopTexts::new(&["zz".to_owned()]).with_turn_ends(&["\nUser:"]);
        assert_eq!(stop().push("a zz \nUser:").stopped, Some(StopReason::StopText));
        assert_eq!(stop().push("a \nUser: zz").stopped, Some(StopReason::EndOfTurn));
    }

    proptest! {
        #[test]
        fn any_cut_gives_what_the_whole_text_gives(pieces in prop::collection::vec("[ab]{0,3}", 0..8), stop in "[ab]{1,3}") {
            let whole = pieces.concat();
            let expected = match whole.find(&stop) {
                Some(at) => (whole[..at].to_owned(), true),
                None => (whole.clone(), false),
            };
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(&[&stop], &pieces), expected);
        }
    }
}
