//! Which model a folder's files are.

use std::collections::BTreeSet;

use super::PartName;
use crate::{Error, Result};

/// The GGUF model among the files of a folder, by its file or by its first part; `None` if the folder is in Hugging Face
/// layout, or holds no GGUF file. `folder` is what to call it in an error.
pub fn choose_gguf(folder: &str, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Option<String>> {
    let mut found = BTreeSet::new();
    for name in names {
        let name = name.as_ref();
        if name == "config.json" {
            return Ok(None);
        }
        // What lets a model see lies beside it, in a file that is no model of its own.
        if name.to_ascii_lowercase().ends_with(".gguf") && !name.starts_with("mmproj") && !name.starts_with('.') {
            found.insert(PartName::parse(name).map_or_else(|| name.to_owned(), |part| part.of_part(1)));
        }
    }
    if found.len() > 1 {
        let names: Vec<String> = found.into_iter().collect();
        let reason = format!("it holds several models; choose one of their files instead: {}", names.join(", "));
        return Err(Error::malformed(folder, reason));
    }
    Ok(found.pop_first())
}

/// A model's name from that of its `.gguf` file: without the ending, and without the number of a part.
pub fn gguf_name(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    PartName::parse(file).map_or_else(|| stem.to_owned(), |part| part.stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_model_is_found_by_its_first_part_and_two_are_refused() {
        let choose = |names: &[&str]| choose_gguf("it", names);
        assert_eq!(choose(&["a-00002-of-00002.gguf", "a-00001-of-00002.gguf", "mmproj-a.gguf", "README.md"]), {
            Ok(Some("a-00001-of-00002.gguf".to_owned()))
        });
        assert_eq!(choose(&["b.GGUF"]), Ok(Some("b.GGUF".to_owned())));
        assert_eq!(choose(&["b.gguf", "config.json", "c.gguf"]), Ok(None));
        assert_eq!(choose(&["README.md"]), Ok(None));
        assert!(choose(&["b.gguf", "c.gguf"]).is_err_and(|error| error.to_string().contains("b.gguf, c.gguf")));
        assert_eq!((gguf_name("a-00002-of-00002.gguf"), gguf_name("b.q8.GGUF")), ("a".to_owned(), "b.q8".to_owned()));
    }
}
