//! From a path to a model: a folder, a `.gguf` file, any part of a split one, or a file of a model's folder.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use hearth_engine::{
    Error, Result,
    file::{FRONTIER_FILE, POOLING_FILE, PartName, choose_gguf, gguf_name},
};

use crate::FoundModel;

/// Files of a folder in Hugging Face layout, by their names' ends; what else lies in a person's folder is their own.
const MODEL_ENDINGS: [&str; 4] = [".safetensors", ".safetensors.index.json", ".jinja", ".model"];

/// Files of a folder in Hugging Face layout, by their whole names.
const MODEL_FILES: [&str; 15] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    FRONTIER_FILE,
    POOLING_FILE,
];

/// Whether a file of a model's folder is one of the model's.
pub(crate) fn belongs_to_model(model: &FoundModel, file: &str) -> bool {
    match &model.file {
        Some(only) if only == file => true,
        // Any part of a split file stands for all of them.
        Some(only) => match (PartName::parse(only), PartName::parse(file)) {
            (Some(own), Some(other)) => own.stem == other.stem && own.count == other.count,
            _ => false,
        },
        None if model.is_own => {
            MODEL_FILES.contains(&file) || MODEL_ENDINGS.iter().any(|ending| file.ends_with(ending))
        }
        None => true,
    }
}

/// Whether a file belongs beside the weights in a folder in Hugging Face layout.
#[cfg(feature = "download")]
pub(crate) fn is_side_file(file: &str) -> bool {
    let is_ending = |ending: &&str| *ending != ".safetensors" && file.ends_with(*ending);
    MODEL_FILES.contains(&file) || MODEL_ENDINGS.iter().any(is_ending)
}

/// The model at a path; `None` if nothing is there.
pub(crate) fn find_path(path: &Path) -> Result<Option<FoundModel>> {
    let failed = |error: io::Error| Error::Io { file: path.display().to_string(), reason: error.to_string() };
    // The full path, so that `--model .` has a name too.
    let full = match std::fs::canonicalize(path) {
        Ok(full) => full,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    if full.is_dir() {
        return in_folder(path, full).map(Some);
    }
    // Of the path as given: what it links to may have a name without an ending.
    let parent = std::path::absolute(path).map_err(failed)?.parent().unwrap_or(Path::new("/")).to_owned();
    let file = text(path.file_name());
    if file.to_ascii_lowercase().ends_with(".gguf") || is_gguf(&full) {
        return Ok(Some(of_gguf(parent, file)));
    }
    if MODEL_FILES.contains(&file.as_str()) || file.ends_with(".safetensors") || file.ends_with(".index.json") {
        let name = name_of_folder(&parent);
        return Ok(Some(FoundModel { name, folder: parent, file: None, is_own: true }));
    }
    Err(Error::malformed(path.display().to_string(), "a model is a folder, a .gguf file or a model.safetensors"))
}

/// Whether a file begins as a GGUF does, whatever its name: some programs keep models under names of their own.
fn is_gguf(path: &Path) -> bool {
    let mut magic = [0; 4];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"GGUF"
}

/// A folder in Hugging Face layout, or one with a single GGUF model in it.
fn in_folder(path: &Path, folder: PathBuf) -> Result<FoundModel> {
    let failed = |error: io::Error| Error::Io { file: path.display().to_string(), reason: error.to_string() };
    let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    let names = entries.iter().map(|entry| text(Some(&entry.file_name())));
    if let Some(file) = choose_gguf(&path.display().to_string(), names)? {
        return Ok(of_gguf(folder, file));
    }
    let name = name_of_folder(&folder);
    Ok(FoundModel { name, folder, file: None, is_own: true })
}

fn of_gguf(folder: PathBuf, file: String) -> FoundModel {
    FoundModel { name: gguf_name(&file), folder, file: Some(file), is_own: true }
}

/// The folder's name; in the cache of Hugging Face's own tools, that of the model rather than of its revision.
fn name_of_folder(folder: &Path) -> String {
    let mut above = folder.ancestors().map(|folder| text(folder.file_name()));
    let (own, parent, model) = (above.next(), above.next(), above.next());
    match (parent.as_deref(), model.as_deref().and_then(|model| model.strip_prefix("models--"))) {
        (Some("snapshots"), Some(model)) => model.rsplit("--").next().unwrap_or(model).to_owned(),
        _ => own.unwrap_or_default(),
    }
}

fn text(part: Option<&OsStr>) -> String {
    part.unwrap_or_default().to_string_lossy().into_owned()
}
