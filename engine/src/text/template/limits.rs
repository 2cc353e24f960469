//! How long the parts of a template may be.

use super::source::{next_tag, outside_strings, tag_word};

/// The template engine counts a line's characters in 16 bits, and panics at a mistake beyond.
const LINE_CHARACTERS_MAX: usize = u16::MAX as usize - 1;
/// Characters of a tag, without the texts in it. The engine goes down a level for each operator, until its stack is
/// full; the longest tag of a real template has some 300.
const TAG_CHARACTERS_MAX: usize = 2048;
/// The same for each of these.
const ELIFS_MAX: usize = 500;

/// Says what of a template is too long for the template engine; given as it is [`super::source::rewritten`].
pub(super) fn excess(source: &str) -> Option<String> {
    let is_long = |line: &str| line.len() > LINE_CHARACTERS_MAX && line.chars().count() > LINE_CHARACTERS_MAX;
    if let Some(line) = source.split('\n').position(is_long) {
        return Some(format!("line {} has more than {LINE_CHARACTERS_MAX} characters", line + 1));
    }
    let (mut rest, mut elifs) = (source, 0);
    while let Some((start, end)) = next_tag(rest) {
        let tag = &rest[start..end];
        rest = &rest[end..];
        if tag.starts_with("{#") {
            continue;
        }
        elifs += usize::from(tag.starts_with("{%") && tag_word(tag) == "elif");
        if outside_strings(tag).take(TAG_CHARACTERS_MAX + 1).count() > TAG_CHARACTERS_MAX {
            return Some(format!("it has a tag of more than {TAG_CHARACTERS_MAX} characters besides texts"));
        }
    }
    (elifs > ELIFS_MAX).then(|| format!("it has {elifs} times elif; at most {ELIFS_MAX} are read"))
}
