//! What a person asks for: `owner/repo@revision:file`, or addresses.

use reqwest::Url;

use super::{DownloadError, Result};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A repository in the Hub's layout.
    Hub {
        /// `owner/repo`.
        repo: String,
        /// A branch, tag or commit.
        revision: String,
        /// Which file: its name, a pattern with `*`, or a part of the name.
        pattern: Option<String>,
    },
    /// Files by their addresses.
    Urls(Vec<String>),
}

impl Source {
    /// Reads what a person wrote: one repository, or addresses.
    pub fn parse(words: &[String]) -> Result<Self> {
        let bad =
            |what: &str, reason: &str| DownloadError::BadSource { what: what.to_owned(), reason: reason.to_owned() };
        let is_url = |word: &String| word.starts_with("https://") || word.starts_with("http://");
        match words {
            [] => Err(bad("", "it is empty")),
            urls if urls.iter().all(is_url) => {
                for url in urls {
                    let parsed = Url::parse(url).map_err(|error| bad(url, &error.to_string()))?;
                    if file_of(&parsed).is_none() {
                        return Err(bad(url, "the address does not end in the name of a file"));
                    }
                }
                Ok(Self::Urls(urls.to_vec()))
            }
            [word] => Self::hub(word),
            [_, other, ..] => Err(bad(other, "only addresses may be several")),
        }
    }

    fn hub(word: &str) -> Result<Self> {
        let bad = |reason: &str| DownloadError::BadSource { what: word.to_owned(), reason: reason.to_owned() };
        let (place, pattern) = match word.split_once(':') {
            Some((_, "")) => return Err(bad("a file should follow the colon")),
            Some((place, pattern)) => (place, Some(pattern.to_owned())),
            None => (word, None),
        };
        let (repo, revision) = place.split_once('@').unwrap_or((place, "main"));
        let is_plain = |part: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !part.is_empty() && !part.starts_with('.') && part.len() <= 96 && part.bytes().all(is_plain)
        };
        if repo.split('/').count() != 2 || !repo.split('/').all(is_plain) {
            return Err(bad("it is not owner/repo"));
        }
        if revision.is_empty() || !revision.split('/').all(is_plain) {
            return Err(bad("the revision is not a branch, tag or commit"));
        }
        Ok(Self::Hub { repo: repo.to_owned(), revision: revision.to_owned(), pattern })
    }

    /// The source as the store remembers it: the same for each revision.
    pub fn id(&self) -> String {
        match self {
            Self::Hub { repo, pattern: None, .. } => format!("hub:{repo}"),
            Self::Hub { repo, pattern: Some(pattern), .. } => format!("hub:{repo}:{pattern}"),
            Self::Urls(urls) => format!("url:{}", urls.first().map_or("", String::as_str)),
        }
    }

    /// What the store remembered, with a revision for a repository.
    pub fn from_id(id: &str) -> Option<Self> {
        match id.split_once(':')? {
            ("hub", place) => Self::hub(place).ok(),
            ("url", url) => Self::parse(&[url.to_owned()]).ok(),
            _ => None,
        }
    }
}

/// The name of the file at an address.
pub(super) fn file_of(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    let name = percent_encoding::percent_decode_str(last).decode_utf8().ok()?.into_owned();
    crate::is_plain_name(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Result<Source> {
        Source::parse(&[word.to_owned()])
    }

    #[test]
    fn repositories_are_read_with_revision_and_file() {
        let hub = |repo: &str, revision: &str, pattern: Option<&str>| {
            Ok(Source::Hub { repo: repo.into(), revision: revision.into(), pattern: pattern.map(str::to_owned) })
        };
        assert_eq!(parse("Qwen/Qwen3-0.6B"), hub("Qwen/Qwen3-0.6B", "main", None));
        assert_eq!(parse("a/b@refs/pr/1:Q4_K_M"), hub("a/b", "refs/pr/1", Some("Q4_K_M")));
        assert_eq!(parse("a/b:x@y.gguf"), hub("a/b", "main", Some("x@y.gguf")));
        for wrong in ["", "a", "a/b/c", "../b", "a/..", "a b/c", "a/b@", "a/b@../x", "a/b:", "ftp://x/y"] {
            assert!(matches!(parse(wrong), Err(DownloadError::BadSource { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_end_in_the_name_of_a_file() {
        let url = "https://models.example/a%20b.gguf?download=true";
        assert_eq!(parse(url), Ok(Source::Urls(vec![url.into()])));
        assert_eq!(file_of(&Url::parse(url).unwrap()).as_deref(), Some("a b.gguf"));
        for wrong in ["https://models.example/", "https://models.example/..%2fx", "http://", "https://x/.hidden"] {
            assert!(matches!(parse(wrong), Err(DownloadError::BadSource { .. })), "{wrong:?}");
        }
        let mixed = Source::parse(&["https://x/y".into(), "a/b".into()]);
        assert!(matches!(mixed, Err(DownloadError::BadSource { .. })));
    }

    #[test]
    fn what_the_store_remembers_is_read_again() {
        for word in ["a/b", "a/b:Q4_K_M", "https://models.example/m.gguf"] {
            let source = parse(word).unwrap();
            assert_eq!(Source::from_id(&source.id()), Some(source));
        }
        assert_eq!(Source::from_id("file:/models/x"), None);
    }
}
