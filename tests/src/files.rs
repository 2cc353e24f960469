//! The tiny models, the bundled one, and their golden files.

use std::{collections::BTreeMap, fs, path::PathBuf};

use hearth_engine::file::MemoryFolder;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository.
pub fn read(path: &str) -> Vec<u8> {
    fs::read(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A model of the repository, in memory: a folder in Hugging Face layout or a GGUF file.
pub fn model(path: &str) -> (MemoryFolder, Option<String>) {
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    if path.ends_with(".gguf") {
        return (MemoryFolder::new(path).with(&name, read(path)), Some(name));
    }
    let entries = fs::read_dir(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let folder = entries
        .map(|entry| entry.expect("a folder can be listed"))
        .filter(|entry| entry.path().is_file())
        .fold(MemoryFolder::new(path), |folder, entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            folder.with(&name, read(&format!("{path}/{name}")))
        });
    (folder, None)
}

/// A prompt with its logits, as the reference computed them.
#[derive(Clone, Debug)]
pub struct Golden {
    /// The prompt's name.
    pub name: String,
    /// The prompt.
    pub ids: Vec<u32>,
    /// At which of its positions the logits are known.
    pub positions: Vec<usize>,
    /// (positions, vocabulary).
    pub logits: Vec<f32>,
}

impl Golden {
    /// Each position with its logits.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let vocab = self.logits.len() / self.positions.len();
        self.positions.iter().copied().zip(self.logits.chunks_exact(vocab))
    }
}

/// The golden file of a model: `tests/golden/<name>.safetensors`.
pub fn golden(name: &str) -> Vec<Golden> {
    let bytes = read(&format!("tests/golden/{name}.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("the golden file is sound");
    let words = |name: &str, dtype: Dtype| -> Option<Vec<[u8; 4]>> {
        let tensor = file.tensor(name).ok()?;
        assert_eq!(tensor.dtype(), dtype, "{name}");
        Some(tensor.data().as_chunks::<4>().0.to_vec())
    };
    let numbers = |name: &str| words(name, Dtype::U32).map(|words| words.into_iter().map(u32::from_le_bytes).collect());
    let mut names: Vec<&str> = file.names().into_iter().filter_map(|name| name.strip_suffix(".ids")).collect();
    names.sort_unstable();
    let goldens: Vec<Golden> = names
        .into_iter()
        .map(|name| {
            let ids: Vec<u32> = numbers(&format!("{name}.ids")).expect("it has ids");
            let logits = words(&format!("{name}.logits"), Dtype::F32).expect("it has logits");
            let positions = numbers(&format!("{name}.positions")).unwrap_or_else(|| (0..ids.len() as u32).collect());
            Golden {
                name: name.to_owned(),
                positions: positions.into_iter().map(|position| position as usize).collect(),
                logits: logits.into_iter().map(f32::from_le_bytes).collect(),
                ids,
            }
        })
        .collect();
    assert!(!goldens.is_empty(), "{name} is empty");
    goldens
}

/// A prompt of a tiny model and how the reference continues it.
#[derive(Clone, Debug, Deserialize)]
pub struct FixtureCase {
    /// The prompt.
    pub text: String,
    /// Its tokens.
    pub ids: Vec<u32>,
    /// What follows if always the likeliest token is taken.
    pub greedy: Vec<u32>,
    /// Whether the end-of-turn token came after that.
    pub ends: bool,
}

/// The cases of the tiny models: by model, then by prompt.
pub fn fixture_cases() -> BTreeMap<String, BTreeMap<String, FixtureCase>> {
    serde_json::from_slice(&read("tests/cases/fixtures.json")).expect("the cases are sound")
}
