//! From a file's bytes to its text, in sections under headings.

use std::{fs::File, io::Read, ops::Range, path::Path};

use hearth_engine::protocol::DocumentKind;
use sha2::{Digest, Sha256};

use super::{
    error::{DocumentError, Result},
    pdf,
};

/// The largest file that is taken in.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// The longest text that is taken in: some three thousand pages.
pub const TEXT_BYTES_MAX: usize = 8 << 20;
/// Between the headings that lead to a section.
const HEADING_SEPARATOR: &str = " › ";

/// The kind of a document, by its first bytes and its name.
pub fn kind_of(name: &str, bytes: &[u8]) -> DocumentKind {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        _ if bytes.starts_with(b"%PDF-") => DocumentKind::Pdf,
        "pdf" => DocumentKind::Pdf,
        "md" | "markdown" => DocumentKind::Markdown,
        _ => DocumentKind::Text,
    }
}

/// A kind as the database writes it.
pub(super) fn kind_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Text => "text",
        DocumentKind::Markdown => "markdown",
        DocumentKind::Pdf => "pdf",
    }
}

/// A part of a document under one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The headings that lead to it, outermost first; empty before the first one.
    pub heading: String,
    /// Where its text is, in bytes, without the heading itself.
    pub range: Range<usize>,
}

/// A document that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name, for people.
    pub name: String,
    /// What it is written in.
    pub kind: DocumentKind,
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
    /// Its text.
    pub text: String,
    /// The text's parts.
    pub sections: Vec<Section>,
}

impl Source {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_until(path, &mut || false)
    }

    /// Reads a file; see [`Self::read_until`].
    pub fn open_until(path: &Path, is_stopped: &mut dyn FnMut() -> bool) -> Result<Self> {
        let file_name = path.display().to_string();
        let failed = |error: std::io::Error| DocumentError::Io { file: file_name.clone(), reason: error.to_string() };
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        // What a pipe or a growing file holds is not known before it is read.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        let name = path.file_name().map_or_else(|| file_name.clone(), |name| name.to_string_lossy().into_owned());
        Self::read_until(&name, bytes, is_stopped)
    }

    /// Reads a document's bytes.
    pub fn read(name: &str, bytes: Vec<u8>) -> Result<Self> {
        Self::read_until(name, bytes, &mut || false)
    }

    /// The same; `is_stopped` is asked now and then while a PDF is read, and ends it at once.
    pub fn read_until(name: &str, bytes: Vec<u8>, is_stopped: &mut dyn FnMut() -> bool) -> Result<Self> {
        let name = name.to_owned();
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(too_large(name, "a size in bytes", bytes.len() as u64, FILE_BYTES_MAX));
        }
        let hash = Sha256::digest(&bytes).into();
        let kind = kind_of(&name, &bytes);
        let (text, sections) = match kind {
            DocumentKind::Pdf => {
                let pages = pdf::pages(&name, bytes, is_stopped)?;
                joined(pages)
            }
            DocumentKind::Text | DocumentKind::Markdown => {
                let text = utf8(&name, bytes)?;
                if text.len() > TEXT_BYTES_MAX {
                    return Err(too_large(name, "a text in bytes", text.len() as u64, TEXT_BYTES_MAX as u64));
                }
                let sections = if kind == DocumentKind::Markdown { markdown_sections(&text) } else { whole(&text) };
                (text, sections)
            }
        };
        if text.trim().is_empty() {
            return Err(DocumentError::Empty { name });
        }
        Ok(Self { name, kind, hash, text, sections })
    }
}

pub(super) fn too_large(name: String, what: &'static str, found: u64, most: u64) -> DocumentError {
    DocumentError::TooLarge { name, what, found, most }
}

fn utf8(name: &str, bytes: Vec<u8>) -> Result<String> {
    let refused = |byte| DocumentError::NotUtf8 { name: name.to_owned(), byte };
    let text = String::from_utf8(bytes).map_err(|error| refused(error.utf8_error().valid_up_to()))?;
    // Valid, but no text has it: a program or a picture that happens to begin well.
    if let Some(byte) = text.find('\0') {
        return Err(refused(byte));
    }
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

fn whole(text: &str) -> Vec<Section> {
    vec![Section { heading: String::new(), range: 0..text.len() }]
}

/// Pages as one text; each is a section.
fn joined(pages: Vec<String>) -> (String, Vec<Section>) {
    let (mut text, mut sections) = (String::new(), Vec::new());
    for (index, page) in pages.into_iter().enumerate() {
        let start = text.len();
        text += &page;
        sections.push(Section { heading: format!("page {}", index + 1), range: start..text.len() });
        text.push_str("\n\n");
    }
    (text, sections)
}

/// Sections by the headings with number signs (CommonMark 4.2); a fence of code holds none.
fn markdown_sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut fence: Option<&str> = None;
    let (mut start, mut at) = (0, 0);
    let mut finish = |path: &[(usize, &str)], range: Range<usize>| {
        if text.get(range.clone()).is_some_and(|part| !part.trim().is_empty()) {
            let titles: Vec<&str> = path.iter().map(|(_, title)| *title).collect();
            sections.push(Section { heading: titles.join(HEADING_SEPARATOR), range });
        }
    };
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        match fence {
            Some(mark) if trimmed.starts_with(mark) => fence = None,
            Some(_) => {}
            None if trimmed.starts_with("```") => fence = Some("```"),
            None if trimmed.starts_with("~~~") => fence = Some("~~~"),
            None => {
                if let Some((level, title)) = heading(trimmed) {
                    finish(&path, start..at);
                    path.retain(|(above, _)| *above < level);
                    path.push((level, title));
                    start = at + line.len();
                }
            }
        }
        at += line.len();
    }
    finish(&path, start..at);
    // Nothing but headings: then they are the text.
    if sections.is_empty() { whole(text) } else { sections }
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    let is_heading = (1..=6).contains(&level) && title.starts_with([' ', '\t']);
    is_heading.then(|| (level, title.trim().trim_end_matches('#').trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_cut_at_headings_and_not_in_code() {
        let text = "before\n# One\na\n```sh\n# no heading\n```\n## Two ##\nb\n### Three\n# Four\n#five\n";
        let found: Vec<(String, &str)> =
            markdown_sections(text).into_iter().map(|part| (part.heading, &text[part.range])).collect();
        let expected =
            [("", "before\n"), ("One", "a\n```sh\n# no heading\n```\n"), ("One › Two", "b\n"), ("Four", "#five\n")];
        assert_eq!(found, expected.map(|(heading, body)| (heading.to_owned(), body)));
        assert_eq!(markdown_sections("# Alone\n"), whole("# Alone\n"));
    }

    #[test]
    fn what_is_no_text_is_refused_with_the_place() {
        let refused = |bytes: &[u8]| Source::read("a.txt", bytes.to_vec()).unwrap_err();
        assert_eq!(refused(b"caf\xe9 au lait"), DocumentError::NotUtf8 { name: "a.txt".into(), byte: 3 });
        assert_eq!(refused(b"ab\0c"), DocumentError::NotUtf8 { name: "a.txt".into(), byte: 2 });
        assert_eq!(refused(b" \n\t"), DocumentError::Empty { name: "a.txt".into() });
        assert_eq!(refused(b""), DocumentError::Empty { name: "a.txt".into() });
        let long = vec![b'a'; TEXT_BYTES_MAX + 1];
        assert!(matches!(refused(&long), DocumentError::TooLarge { .. }));
        assert_eq!(Source::read("a.txt", b"\xef\xbb\xbfmark".to_vec()).unwrap().text, "mark");
    }
}
