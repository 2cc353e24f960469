//! Models by name: the registry, the bundled model, and paths where they are allowed.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use hearth_engine::{Error, Result, runtime::ModelLocation};
use serde::{Deserialize, Serialize};

use crate::files::{DiskFolder, is_model_file, is_plain_name};

/// The file that lists the models of a folder.
pub(crate) const REGISTRY_FILE: &str = "registry.json";

/// What `registry.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The name of the model that is taken when none is named.
    pub bundled: Option<String>,
    /// The models, each in a folder of its own beside the registry.
    pub models: Vec<ModelEntry>,
}

/// One model of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Its name, which is also its folder's.
    pub name: String,
    /// What it is, in words for a person.
    #[serde(default)]
    pub description: String,
    /// The `.gguf` file within the folder, if the model is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Where a model lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundModel {
    /// Its name, for people.
    pub name: String,
    /// The folder of its files.
    pub folder: PathBuf,
    /// The `.gguf` file among them, if the model is one.
    pub file: Option<String>,
}

impl From<FoundModel> for ModelLocation {
    fn from(found: FoundModel) -> Self {
        Self { name: found.name, folder: Rc::new(DiskFolder::new(found.folder)), file: found.file }
    }
}

/// Finds models by name in a list of folders, the first that knows the name first.
#[derive(Clone, Debug, Default)]
pub struct ModelStore {
    folders: Vec<PathBuf>,
    allows_paths: bool,
    /// What is taken when no name is given, in place of the registry's choice.
    chosen: Option<FoundModel>,
}

impl ModelStore {
    /// A store over folders that each hold a `registry.json`; those that hold none are passed over.
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { folders: folders.into_iter().collect(), ..Self::default() }
    }

    /// The folders in which an installed or freshly built Hearth keeps its models: `HEARTH_MODELS`, the app's resource
    /// folder if it has one, beside the executable, and the source tree from which it was built.
    pub fn usual_folders(resource_dir: Option<&Path>) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = std::env::var_os("HEARTH_MODELS").map(PathBuf::from).into_iter().collect();
        folders.extend(resource_dir.map(|dir| dir.join("models")));
        if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            folders.push(beside.join("models"));
            folders.push(beside.join("../share/hearth/models"));
        }
        folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models"));
        folders
    }

    /// Whether a path may stand where a name is asked for. A store behind a server must not allow it.
    #[must_use]
    pub fn allow_paths(mut self, allows_paths: bool) -> Self {
        self.allows_paths = allows_paths;
        self
    }

    /// Takes this model, a name or (whether or not paths are allowed later) a path, when no name is given.
    pub fn choose(mut self, model: &str) -> Result<Self> {
        let found = self.clone().allow_paths(true).find(model)?;
        self.chosen = Some(found);
        Ok(self)
    }

    /// All models of all folders; of two with the same name the first.
    pub fn registry(&self) -> Result<Registry> {
        let mut all = Registry::default();
        if let Some(chosen) = &self.chosen {
            all.bundled = Some(chosen.name.clone());
            all.models.push(ModelEntry {
                name: chosen.name.clone(),
                description: String::new(),
                file: chosen.file.clone(),
            });
        }
        for (_, registry) in self.registries()? {
            all.bundled = all.bundled.or(registry.bundled);
            for entry in registry.models {
                if all.models.iter().all(|known| known.name != entry.name) {
                    all.models.push(entry);
                }
            }
        }
        Ok(all)
    }

    /// Finds a model by name, or by path where that is allowed. An empty name is the chosen or the bundled model.
    pub fn find(&self, model: &str) -> Result<FoundModel> {
        if let Some(chosen) = self.chosen.as_ref().filter(|chosen| model.is_empty() || chosen.name == model) {
            return Ok(chosen.clone());
        }
        let registries = self.registries()?;
        let bundled = registries.iter().find_map(|(_, registry)| registry.bundled.as_deref());
        let name = if model.is_empty() { bundled.unwrap_or_default() } else { model };
        for (folder, registry) in &registries {
            if let Some(entry) = registry.models.iter().find(|entry| entry.name == name) {
                return found(folder, entry);
            }
        }
        if self.allows_paths
            && !model.is_empty()
            && let Some(found) = find_path(Path::new(model))?
        {
            return Ok(found);
        }
        Err(Error::UnknownModel { model: name.to_owned(), available: names(self.registry()?) })
    }

    /// The path of one file of a model that has a name; `None` if it has no such file. Never leads out of the model's
    /// folder, except through links that whoever laid the model there put into it.
    pub fn file(&self, model: &str, file: &str) -> Result<Option<PathBuf>> {
        let found = self.clone().allow_paths(false).find(model)?;
        let path = found.folder.join(file);
        // Of a `.gguf` file somewhere on the disk its neighbours are nobody's business.
        let is_offered = is_model_file(file) && found.file.as_deref().is_none_or(|only| only == file);
        Ok((is_offered && path.is_file()).then_some(path))
    }

    fn registries(&self) -> Result<Vec<(&Path, Registry)>> {
        let read = |folder: &'_ PathBuf| read_registry(folder).transpose();
        self.folders
            .iter()
            .filter_map(|folder| read(folder).map(|registry| Ok((folder.as_path(), registry?))))
            .collect()
    }
}

fn read_registry(folder: &Path) -> Result<Option<Registry>> {
    let path = folder.join(REGISTRY_FILE);
    let name = || path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Error::Io { file: name(), reason: error.to_string() }),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| Error::malformed(name(), error))
}

fn found(folder: &Path, entry: &ModelEntry) -> Result<FoundModel> {
    if !is_plain_name(&entry.name) {
        let reason = format!("the name {:?} is not a folder's name", entry.name);
        return Err(Error::malformed(folder.join(REGISTRY_FILE).display().to_string(), reason));
    }
    Ok(FoundModel { name: entry.name.clone(), folder: folder.join(&entry.name), file: entry.file.clone() })
}

/// A model folder, a `.gguf` file, or the `model.safetensors` of a folder.
fn find_path(path: &Path) -> Result<Option<FoundModel>> {
    let failed = |error: std::io::Error| Error::Io { file: path.display().to_string(), reason: error.to_string() };
    // The full path, so that `--model .` has a name too.
    let full = match std::fs::canonicalize(path) {
        Ok(full) => full,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    if full.is_dir() {
        let name = text(path.file_name().or(full.file_name()));
        return Ok(Some(FoundModel { name, folder: full, file: None }));
    }
    // Of the path as given: what it links to may have a name without an ending.
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let parent = std::path::absolute(path).map_err(failed)?.parent().unwrap_or(Path::new("/")).to_owned();
    if extension == "gguf" {
        let file = text(path.file_name());
        return Ok(Some(FoundModel { name: text(path.file_stem()), folder: parent, file: Some(file) }));
    }
    if path.file_name().is_some_and(|name| name == "model.safetensors") {
        return Ok(Some(FoundModel { name: text(parent.file_name()), folder: parent, file: None }));
    }
    Err(Error::malformed(path.display().to_string(), "a model is a folder, a .gguf file or a model.safetensors"))
}

fn names(registry: Registry) -> String {
    let names: Vec<String> = registry.models.into_iter().map(|entry| entry.name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
