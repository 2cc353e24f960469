//! Models by name: the registry, the bundled model, and paths where they are allowed.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use hearth_engine::{
    Error, Result,
    protocol::{ListedModel, ModelList},
    runtime::ModelLocation,
};
use serde::{Deserialize, Serialize};

use crate::{
    added::AddedModels,
    files::{DiskFolder, is_model_file, is_plain_name},
    model_path::{belongs_to_model, find_path},
    store::{BlobStore, ModelState, StoreError, StoredModel},
};

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
    /// What `hearth pull` fetches it from, if it does not come with Hearth: `owner/repo@revision:file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
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
    /// Whether it is a person's own folder rather than one of Hearth's: then other files may lie there too.
    pub is_own: bool,
}

impl From<FoundModel> for ModelLocation {
    fn from(found: FoundModel) -> Self {
        Self { name: found.name, folder: Rc::new(DiskFolder::new(found.folder)), file: found.file }
    }
}

/// Finds models by name in a list of folders, the first that knows the name first, then in a [`BlobStore`], which holds
/// what was downloaded, and among those that a person added.
#[derive(Clone, Debug, Default)]
pub struct ModelStore {
    folders: Vec<PathBuf>,
    allows_paths: bool,
    allows_adding: bool,
    /// The folder of the [`BlobStore`], if its models are found too.
    stored: Option<PathBuf>,
    /// Models that a person brought, if they are remembered.
    added: Option<AddedModels>,
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

    /// Remembers added models in this file, which need not be there yet, and finds those that are.
    #[must_use]
    pub fn remember_in(mut self, file: impl Into<PathBuf>) -> Self {
        self.added = Some(AddedModels::new(file));
        self
    }

    /// Finds the models of the [`BlobStore`] in this folder too, which need not be there yet.
    #[must_use]
    pub fn stored_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.stored = Some(folder.into());
        self
    }

    /// Whether requests may add models by their path, and remove them. A store behind a server must not allow it.
    #[must_use]
    pub fn allow_adding(mut self, allows_adding: bool) -> Self {
        self.allows_adding = allows_adding;
        self
    }

    /// The file in which the app and the command line remember added models: in `HEARTH_DATA`, or where the system
    /// keeps an app's data.
    pub fn usual_memory() -> Option<PathBuf> {
        let chosen = std::env::var_os("HEARTH_DATA").map(PathBuf::from);
        let folder = chosen.or_else(|| Some(dirs::data_dir()?.join("org.hearth.Hearth")))?;
        Some(folder.join("models.json"))
    }

    /// Puts the model at a path on the list, and gives the name under which it is found from now on: another one if
    /// its own is taken.
    pub fn add(&self, path: &str) -> Result<String> {
        let Some(added) = self.added.as_ref().filter(|_| self.allows_adding) else {
            return Err(Error::NotAllowed { what: "adding a model by its path".to_owned() });
        };
        let unknown =
            || Error::UnknownModel { model: path.to_owned(), available: "no file or folder there".to_owned() };
        let found = find_path(Path::new(path))?.ok_or_else(unknown)?;
        if found.file.is_none() && !found.folder.join("config.json").is_file() {
            return Err(Error::MissingFile { file: found.folder.join("config.json").display().to_string() });
        }
        let mut taken: Vec<String> = self.chosen.iter().map(|chosen| chosen.name.clone()).collect();
        for (_, registry) in self.registries()? {
            taken.extend(registry.models.into_iter().map(|entry| entry.name));
        }
        taken.extend(self.stored_models().into_iter().map(|model| model.manifest.name));
        added.add(&found, &taken)
    }

    /// Takes an added model off the list. Its files stay where they are.
    pub fn remove(&self, name: &str) -> Result<()> {
        let Some(added) = self.added.as_ref().filter(|_| self.allows_adding) else {
            return Err(Error::NotAllowed { what: "removing a model".to_owned() });
        };
        if added.remove(name)? {
            return Ok(());
        }
        let names: Vec<String> = added.read()?.into_iter().map(|model| model.name).collect();
        Err(Error::UnknownModel { model: name.to_owned(), available: join(names) })
    }

    /// What can be asked for by name. Where models lie is told only to those who may add some.
    pub fn list(&self) -> Result<ModelList> {
        let Registry { bundled, models } = self.registry()?;
        let mut list = ModelList { bundled, models: Vec::new(), can_add: self.allows_adding && self.added.is_some() };
        let added = self.added.as_ref().map_or(Ok(Vec::new()), AddedModels::read)?;
        let stored = self.stored_models();
        let listed = self.registries()?;
        let is_listed = |name: &str| listed.iter().any(|(_, own)| own.models.iter().any(|entry| entry.name == name));
        for ModelEntry { name, description, .. } in models {
            if let Some(model) = stored.iter().find(|model| model.manifest.name == name && !is_listed(&name)) {
                list.models.push(listed_model(model));
                continue;
            }
            let found = self.find(&name)?;
            let is_added = added.iter().any(|model| model.name == name && model.folder == found.folder);
            let place = found.file.as_ref().map_or_else(|| found.folder.clone(), |file| found.folder.join(file));
            list.models.push(ListedModel {
                name,
                description,
                is_added,
                is_missing: !place.exists(),
                place: (list.can_add && found.is_own).then(|| place.display().to_string()),
            });
        }
        Ok(list)
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
                source: None,
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
        for model in self.stored_models() {
            let name = model.manifest.name.clone();
            if all.models.iter().all(|known| known.name != name) {
                let description = listed_model(&model).description;
                all.models.push(ModelEntry {
                    name,
                    description,
                    file: crate::store::found_model(&model).file,
                    source: None,
                });
            }
        }
        for model in self.added.as_ref().map_or(Ok(Vec::new()), AddedModels::read)? {
            if all.models.iter().all(|known| known.name != model.name) {
                let FoundModel { name, file, .. } = model;
                all.models.push(ModelEntry { name, description: String::new(), file, source: None });
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
        // A store that cannot be read hides no other model.
        let stored = self.stored.as_ref().map_or(Ok(None), |folder| BlobStore::look_up(folder, name));
        if let Ok(Some(found)) = stored {
            return Ok(found);
        }
        if let Some(added) = &self.added
            && let Some(found) = added.read()?.into_iter().find(|added| added.name == name)
        {
            return Ok(found);
        }
        if self.allows_paths
            && !model.is_empty()
            && let Some(found) = find_path(Path::new(model))?
        {
            return Ok(found);
        }
        stored.map_err(|error| unusable(&error))?;
        Err(Error::UnknownModel { model: name.to_owned(), available: names(self.registry()?) })
    }

    /// The path of one file of a model that has a name; `None` if it has no such file. Never leads out of the model's
    /// folder, except through links that whoever laid the model there put into it.
    pub fn file(&self, model: &str, file: &str) -> Result<Option<PathBuf>> {
        let found = self.clone().allow_paths(false).find(model)?;
        let path = found.folder.join(file);
        // What else lies beside a model somewhere on the disk is nobody's business.
        let is_offered = is_model_file(file) && belongs_to_model(&found, file);
        Ok((is_offered && path.is_file()).then_some(path))
    }

    /// The models of the store. One that cannot be used says so when a model is asked for that nobody else has.
    fn stored_models(&self) -> Vec<StoredModel> {
        let Some(folder) = &self.stored else { return Vec::new() };
        let models =
            BlobStore::open_to_read(folder).and_then(|store| store.map_or(Ok(Vec::new()), |store| store.models()));
        models.unwrap_or_else(|error| {
            tracing::warn!(%error, "the model store cannot be read");
            Vec::new()
        })
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
    let folder = folder.join(&entry.name);
    Ok(FoundModel { name: entry.name.clone(), folder, file: entry.file.clone(), is_own: false })
}

/// A model of the store, for the list.
fn listed_model(model: &StoredModel) -> ListedModel {
    // A page may see this: where on the disk something was imported from is none of its business.
    let source = match model.manifest.source.split_once(':') {
        Some(("hub", repo)) => format!(" from {repo}"),
        Some(("url", url)) => url.split('/').nth(2).map_or(String::new(), |host| format!(" from {host}")),
        _ => String::new(),
    };
    let description = format!("{}{source}", hearth_engine::error::human_bytes(model.bytes));
    let (name, is_missing) = (model.manifest.name.clone(), model.state != ModelState::Whole);
    ListedModel { name, description, is_added: false, is_missing, place: None }
}

/// Why the store is of no use, with its own cure: the engine's errors know none for it.
fn unusable(error: &StoreError) -> Error {
    Error::Io { file: "the model store".to_owned(), reason: format!("{error}. {}", error.hint()) }
}

fn names(registry: Registry) -> String {
    join(registry.models.into_iter().map(|entry| entry.name).collect())
}

fn join(names: Vec<String>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
