//! The models that a person brought, remembered in one file of the app's data.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use hearth_engine::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{FoundModel, is_plain_name};

/// The longest name that is given.
const NAME_CHARS_MAX: usize = 80;

/// The list, as it lies in its file. Nothing of it is kept in memory, so that the app and the command line see at once
/// what the other did.
#[derive(Clone, Debug)]
pub(crate) struct AddedModels {
    file: PathBuf,
}

/// What the file says.
#[derive(Default, Serialize, Deserialize)]
struct Listed {
    models: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    folder: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl AddedModels {
    pub(crate) fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// All models; none if there is no file yet. Entries that could lead out of their folder are left out.
    pub(crate) fn read(&self) -> Result<Vec<FoundModel>> {
        let listed = self.read_entries()?.models.into_iter().filter(|entry| {
            is_plain_name(&entry.name) && entry.file.as_deref().is_none_or(is_plain_name) && entry.folder.is_absolute()
        });
        let found = |Entry { name, folder, file }| FoundModel { name, folder, file, is_own: true };
        Ok(listed.map(found).collect())
    }

    /// Adds a model under a name that no other has, and gives that name; one that is there already keeps its own.
    pub(crate) fn add(&self, model: &FoundModel, taken: &[String]) -> Result<String> {
        self.change(|listed| {
            let known = listed.models.iter().find(|entry| entry.folder == model.folder && entry.file == model.file);
            if let Some(known) = known {
                return known.name.clone();
            }
            let is_taken =
                |name: &str| taken.iter().chain(listed.models.iter().map(|entry| &entry.name)).any(|one| one == name);
            let plain = plain_name(&model.name);
            let numbered = (2..).map(|number| format!("{plain}-{number}"));
            let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(plain);
            let (folder, file) = (model.folder.clone(), model.file.clone());
            listed.models.push(Entry { name: name.clone(), folder, file });
            name
        })
    }

    /// Removes a model; whether it was there.
    pub(crate) fn remove(&self, name: &str) -> Result<bool> {
        self.change(|listed| {
            let before = listed.models.len();
            listed.models.retain(|entry| entry.name != name);
            listed.models.len() < before
        })
    }

    fn read_entries(&self) -> Result<Listed> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Listed::default());
            }
            Err(error) => return Err(self.failed(&error)),
        };
        serde_json::from_str(&text).map_err(|error| Error::malformed(self.file.display().to_string(), error))
    }

    /// Reads, changes and writes the list, while no other program does. The new file takes the old one's place at
    /// once: whoever is stopped in between leaves the old one whole.
    fn change<T>(&self, change: impl FnOnce(&mut Listed) -> T) -> Result<T> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let lock = || -> io::Result<File> {
            fs::create_dir_all(folder)?;
            let lock = File::create(self.file.with_extension("lock"))?;
            lock.lock()?;
            Ok(lock)
        };
        // Held until the end of the function.
        let _lock = lock().map_err(|error| self.failed(&error))?;
        let new = self.file.with_extension("new");
        let mut listed = self.read_entries()?;
        let outcome = change(&mut listed);
        let text = serde_json::to_string_pretty(&listed).map_err(|error| self.failed(&io::Error::other(error)))?;
        let written = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            io::Write::write_all(&mut file, text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.file)
        };
        written().map_err(|error| self.failed(&error))?;
        Ok(outcome)
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::Io { file: self.file.display().to_string(), reason: error.to_string() }
    }
}

/// A name that can stand in an address and be a folder's: letters, digits and a few marks of ASCII.
pub(crate) fn plain_name(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let replaced = name.chars().take(NAME_CHARS_MAX).map(|character| if is_plain(character) { character } else { '-' });
    let joined: String = replaced.collect();
    let trimmed = joined.trim_matches(['-', '.']);
    if trimmed.is_empty() { "model".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_plain() {
        for (name, plain) in [
            ("Qwen3-0.6B-Q8_0", "Qwen3-0.6B-Q8_0"),
            ("My model (1)", "My-model--1"),
            ("..", "model"),
            (".hidden", "hidden"),
            ("müde/../x", "m-de-..-x"),
            ("a%2fb?c#d", "a-2fb-c-d"),
        ] {
            assert_eq!(plain_name(name), plain);
            assert!(is_plain_name(&plain_name(name)));
        }
        assert_eq!(plain_name(&"x".repeat(500)).len(), NAME_CHARS_MAX);
    }

    #[test]
    fn a_list_that_was_meddled_with_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("models.json");
        let added = AddedModels::new(&file);
        assert_eq!(added.read().unwrap(), []);
        fs::write(&file, "{").unwrap();
        assert!(matches!(added.read().unwrap_err(), Error::Malformed { .. }));
        let hostile = r#"{"models": [{"name": "../x", "folder": "/"}, {"name": "x", "folder": "here"},
            {"name": "y", "folder": "/", "file": "../etc/passwd"}]}"#;
        fs::write(&file, hostile).unwrap();
        assert_eq!(added.read().unwrap(), []);
    }
}
