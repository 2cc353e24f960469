//! Which files of a repository a model needs.

use std::collections::BTreeMap;

use hearth_engine::file::PartName;

use super::{DownloadError, Result};
use crate::{files::is_model_file, model_path::is_side_file};

/// The files to fetch out of those that there are. Weights come in one form only: those that the pattern names, else
/// safetensors, else the one GGUF there is.
pub(super) fn choose<'a>(what: &str, files: &[&'a str], pattern: Option<&str>) -> Result<Vec<&'a str>> {
    let none = |reason: &str| DownloadError::NoModel { what: what.to_owned(), reason: reason.to_owned() };
    let usable = || files.iter().copied().filter(|file| is_model_file(file));
    let ggufs: Vec<&str> = usable().filter(|file| is_gguf(file)).collect();
    let tensors = || usable().filter(|file| file.ends_with(".safetensors"));
    let chosen = if let Some(pattern) = pattern {
        let matching: Vec<&str> = ggufs.iter().copied().filter(|file| matches(pattern, file)).collect();
        if matching.is_empty() {
            let weights: Vec<&str> = tensors().filter(|file| matches(pattern, file)).collect();
            if weights.is_empty() {
                return Err(none(&format!("no file fits {pattern:?}")));
            }
            return Ok(with_sides(weights, files));
        }
        // A name that is spelled out is meant, even if it is a part of another.
        let exact: Vec<&str> = matching.iter().copied().filter(|file| *file == pattern).collect();
        let named = if exact.is_empty() { matching } else { parts_of(&exact, &ggufs) };
        return one_gguf(what, &named, &ggufs);
    } else {
        let own: Vec<&str> = tensors().filter(|file| file.starts_with("model")).collect();
        if own.is_empty() { tensors().collect() } else { own }
    };
    if !chosen.is_empty() {
        return Ok(with_sides(chosen, files));
    }
    if !ggufs.is_empty() {
        return one_gguf(what, &ggufs, &ggufs);
    }
    let has_pickle = files.iter().any(|file| file.ends_with(".bin") || file.ends_with(".pt") || file.ends_with(".pth"));
    Err(none(if has_pickle { "its weights are neither safetensors nor GGUF" } else { "there are no weights" }))
}

fn is_gguf(file: &str) -> bool {
    file.to_ascii_lowercase().ends_with(".gguf") && !file.starts_with("mmproj")
}

fn with_sides<'a>(mut weights: Vec<&'a str>, files: &[&'a str]) -> Vec<&'a str> {
    let is_needed = |file: &&str| is_model_file(file) && is_side_file(file);
    weights.extend(files.iter().copied().filter(is_needed));
    weights.sort_unstable();
    weights.dedup();
    weights
}

/// The parts of the one model that these files belong to.
fn one_gguf<'a>(what: &str, named: &[&'a str], all: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut models: BTreeMap<String, &str> = BTreeMap::new();
    for file in named {
        models.insert(PartName::parse(file).map_or_else(|| (*file).to_owned(), |part| part.of_part(1)), file);
    }
    if models.len() > 1 {
        let models = models.into_keys().collect::<Vec<_>>().join(", ");
        return Err(DownloadError::Several { what: what.to_owned(), models });
    }
    Ok(parts_of(named, all))
}

fn parts_of<'a>(named: &[&'a str], all: &[&'a str]) -> Vec<&'a str> {
    let family = |file: &str| PartName::parse(file).map(|part| (part.stem, part.count));
    let belongs = |file: &&&str| {
        named.contains(*file)
            || family(file).is_some_and(|own| named.iter().any(|one| family(one).as_ref() == Some(&own)))
    };
    all.iter().filter(belongs).copied().collect()
}

/// Whether a name fits: as a whole where the pattern has stars, otherwise in a part, in capitals or not.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    if !pattern.contains('*') {
        return name.contains(&pattern);
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str], pattern: Option<&str>) -> Result<String> {
        choose("a/b", files, pattern).map(|files| files.join(" "))
    }

    #[test]
    fn safetensors_come_with_what_they_need_and_nothing_twice() {
        let files = [
            ".gitattributes",
            "README.md",
            "config.json",
            "consolidated.safetensors",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "onnx/model.onnx",
            "original/model.safetensors",
            "pytorch_model.bin",
            "tokenizer.json",
            "1_Pooling/config.json",
            "../config.json",
            "model.Q8_0.gguf",
        ];
        let expected = "1_Pooling/config.json config.json model-00001-of-00002.safetensors \
                        model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.json";
        assert_eq!(chosen(&files, None).unwrap(), expected);
        assert_eq!(chosen(&files, Some("q8_0")).unwrap(), "model.Q8_0.gguf");
        let pickle = chosen(&["config.json", "pytorch_model.bin"], None).unwrap_err();
        assert!(pickle.to_string().contains("neither safetensors nor GGUF"), "{pickle}");
    }

    #[test]
    fn of_several_ggufs_one_has_to_be_named() {
        let files = [
            "m-Q4_K_M.gguf",
            "m-Q4_K_S.gguf",
            "m-F16-00001-of-00002.gguf",
            "m-F16-00002-of-00002.gguf",
            "mmproj-m.gguf",
        ];
        let several = chosen(&files, None).unwrap_err();
        assert!(several.to_string().ends_with("m-F16-00001-of-00002.gguf, m-Q4_K_M.gguf, m-Q4_K_S.gguf"), "{several}");
        assert_eq!(chosen(&files, Some("Q4_K_M")).unwrap(), "m-Q4_K_M.gguf");
        assert_eq!(chosen(&files, Some("*k_s.gguf")).unwrap(), "m-Q4_K_S.gguf");
        let both = "m-F16-00001-of-00002.gguf m-F16-00002-of-00002.gguf";
        assert_eq!(chosen(&files, Some("F16")).unwrap(), both);
        assert_eq!(chosen(&files, Some("m-F16-00002-of-00002.gguf")).unwrap(), both);
        assert!(matches!(chosen(&files, Some("Q4")), Err(DownloadError::Several { .. })));
        assert!(matches!(chosen(&files, Some("Q2")), Err(DownloadError::NoModel { .. })));
        assert_eq!(chosen(&["m.gguf", "m.gguf.gguf"], Some("m.gguf")).unwrap(), "m.gguf");
        assert_eq!(chosen(&["one.gguf", "README.md"], None).unwrap(), "one.gguf");
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, fits) in [
            ("*", "x", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbYc", true),
            ("*b*b*", "abba", true),
            ("*bb", "ab", false),
            ("Q4", "model-q4.gguf", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
