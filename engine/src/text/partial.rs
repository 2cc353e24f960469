//! Marks that come in pieces.

/// How many bytes at the end of a text may be the beginning of a mark that goes on.
pub(super) fn begun(text: &str, mark: &str) -> usize {
    let starts = mark.char_indices().map(|(at, _)| at).skip(1);
    starts.filter(|length| text.ends_with(&mark[..*length])).max().unwrap_or(0)
}
