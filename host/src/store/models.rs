//! Models in the store: what each is, and how one comes and is found.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_engine::file::choose_gguf;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{BlobId, BlobStore, INDEX_FILE, Result, StoreError, index::now_s};
use crate::{FoundModel, added::plain_name, files::is_model_file};

/// How long the time of a model's last use may be out of date.
const USED_EVERY_S: i64 = 3600;

/// What a model is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name under which it is found.
    pub name: String,
    /// Where it came from: `hub:owner/repo`, an address or a path.
    pub source: String,
    /// Which state of its source; empty if that has none.
    pub revision: String,
    /// Its files.
    pub files: Vec<ModelFile>,
}

impl Manifest {
    pub(super) fn to_json(&self) -> String {
        // Nothing in it that JSON could not hold.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its name in the model's folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// The hash of its bytes.
    pub sha256: BlobId,
    /// Where it can be fetched again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// A model whose blobs are all in their places.
#[derive(Clone, Debug)]
pub struct NewModel {
    /// The name that it shall have; one that another model has gets a number.
    pub name: String,
    /// Whether a person chose that name: otherwise the model that came from the same source before keeps its own.
    pub is_named: bool,
    /// Where it came from. The model that came from there before, under this name, is replaced.
    pub source: String,
    /// Which state of its source.
    pub revision: String,
    /// Its files.
    pub files: Vec<ModelFile>,
}

/// How a model's files are, as far as is known without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// All there.
    Whole,
    /// The last check found damage, or a file has the wrong length.
    Damaged,
    /// A file is gone.
    Missing,
}

/// A model as the store lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredModel {
    /// What it is made of.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// The length of all its files.
    pub bytes: u64,
    /// Whether it is kept when room is made.
    pub is_pinned: bool,
    /// How its files are.
    pub state: ModelState,
    /// When it came, in seconds since 1970.
    pub added_at_s: i64,
    /// When it was last looked up, to the hour.
    pub used_at_s: i64,
    /// The folder with its files under their own names.
    pub folder: PathBuf,
}

impl BlobStore {
    /// Puts a model on the list, and gives the name under which it is found.
    pub fn commit(&self, new: &NewModel) -> Result<StoredModel> {
        if let Some(file) = new.files.iter().find(|file| !is_model_file(&file.path)) {
            return Err(StoreError::BadName { file: file.path.clone() });
        }
        let fault = self.fault();
        let transaction = self.change()?;
        for file in &new.files {
            let is_there = self.blob_row(&file.sha256)?.is_some_and(|row| row.bytes == file.bytes);
            if !is_there || !self.blob_path(&file.sha256).is_file() {
                return Err(StoreError::MissingBlob { file: file.path.clone() });
            }
        }
        let name = self.name_for(new)?;
        let NewModel { source, revision, files, .. } = new.clone();
        let manifest = Manifest { name, source, revision, files };
        self.make_folder(&manifest)?;
        let before: Option<String> = transaction
            .query_row("SELECT folder FROM models WHERE name = ?1", [&manifest.name], |row| row.get(0))
            .optional()
            .map_err(&fault)?;
        insert(&transaction, &manifest).map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        // Only now: a kill in between leaves something to collect, and never less than one whole model.
        self.clear(before.as_deref())?;
        self.model(&manifest.name)
    }

    /// All models, by name.
    pub fn models(&self) -> Result<Vec<StoredModel>> {
        let fault = self.fault();
        let sql = "SELECT name, source, revision, folder, is_pinned, added_at, used_at, id FROM models ORDER BY name";
        let mut statement = self.index.prepare(sql).map_err(&fault)?;
        let rows = statement.query_map([], model).map_err(&fault)?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(&fault)?;
        rows.into_iter().map(|(id, model)| self.with_files(id, model)).collect()
    }

    /// One model.
    pub fn model(&self, name: &str) -> Result<StoredModel> {
        let unknown = || -> Result<StoreError> {
            let names: Vec<String> = self.models()?.into_iter().map(|model| model.manifest.name).collect();
            let held = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Ok(StoreError::UnknownModel { name: name.to_owned(), held })
        };
        let found = self.find_row(name)?;
        let Some((id, model)) = found else { return Err(unknown()?) };
        self.with_files(id, model)
    }

    /// Where a model lies in the store of a folder, for the engine to load it; `None` if it has none of that name.
    pub(crate) fn look_up(root: &Path, name: &str) -> Result<Option<FoundModel>> {
        let Some(store) = Self::open_to_read(root)? else { return Ok(None) };
        let Some((id, found)) = store.find_row(name)? else { return Ok(None) };
        let model = store.with_files(id, found)?;
        if model.state != ModelState::Whole {
            return Err(StoreError::NotWhole { name: name.to_owned() });
        }
        if now_s() - model.used_at_s > USED_EVERY_S {
            // Only a help for the choice of what goes first: not worth a failure.
            let touch = |store: Self| {
                store.index.execute("UPDATE models SET used_at = ?2 WHERE id = ?1", params![id, now_s()]).ok()
            };
            let _ = Self::open(root).ok().and_then(touch);
        }
        Ok(Some(found_model(&model)))
    }

    /// Keeps a model when room is made, or no more.
    pub fn pin(&self, name: &str, is_pinned: bool) -> Result<()> {
        let transaction = self.change()?;
        let sql = "UPDATE models SET is_pinned = ?2 WHERE name = ?1";
        let changed = transaction.execute(sql, params![name, is_pinned]).map_err(self.fault())?;
        transaction.commit().map_err(self.fault())?;
        if changed == 0 { self.model(name).map(drop) } else { Ok(()) }
    }

    fn find_row(&self, name: &str) -> Result<Option<(i64, StoredModel)>> {
        let sql = "SELECT name, source, revision, folder, is_pinned, added_at, used_at, id FROM models WHERE name = ?1";
        self.index.query_row(sql, [name], model).optional().map_err(self.fault())
    }

    /// The blob of a file of the model that came from a source.
    pub fn blob_of(&self, source: &str, path: &str) -> Result<Option<BlobId>> {
        let sql = "SELECT sha256 FROM files JOIN models ON models.id = model_id WHERE source = ?1 AND path = ?2";
        let read = |row: &Row<'_>| row.get(0).map(BlobId);
        self.index.query_row(sql, [source, path], read).optional().map_err(self.fault())
    }

    fn name_for(&self, new: &NewModel) -> Result<String> {
        let wanted = plain_name(&new.name);
        let sql = "SELECT name FROM models WHERE source = ?1 AND (name = ?2 OR NOT ?3) ORDER BY name = ?2 DESC, name";
        let parameters = params![new.source, wanted, new.is_named];
        let known = self.index.query_row(sql, parameters, |row| row.get(0)).optional().map_err(self.fault())?;
        known.map_or_else(|| self.free_name(&wanted), Ok)
    }

    fn free_name(&self, wanted: &str) -> Result<String> {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while self.find_row(&name)?.is_some() {
            name = format!("{wanted}-{number}");
            number += 1;
        }
        Ok(name)
    }

    fn with_files(&self, id: i64, mut model: StoredModel) -> Result<StoredModel> {
        let fault = self.fault();
        let sql = "SELECT path, bytes, files.sha256, urls, damaged_chunks
                   FROM files JOIN blobs ON blobs.sha256 = files.sha256 WHERE model_id = ?1 ORDER BY path";
        let mut statement = self.index.prepare(sql).map_err(&fault)?;
        let read = |row: &Row<'_>| {
            let urls: String = row.get(3)?;
            let urls = urls.lines().map(str::to_owned).collect();
            let bytes = row.get::<_, i64>(1)?.cast_unsigned();
            let file = ModelFile { path: row.get(0)?, bytes, sha256: BlobId(row.get(2)?), urls };
            Ok((file, row.get::<_, i64>(4)? > 0))
        };
        model.folder = self.root.join(&model.folder);
        for row in statement.query_map([id], read).map_err(&fault)? {
            let (file, is_damaged) = row.map_err(&fault)?;
            let found_bytes = fs::metadata(model.folder.join(&file.path)).ok().map(|metadata| metadata.len());
            let state = match found_bytes {
                None => ModelState::Missing,
                Some(bytes) if bytes != file.bytes || is_damaged => ModelState::Damaged,
                Some(_) => ModelState::Whole,
            };
            if model.state != ModelState::Missing && state != ModelState::Whole {
                model.state = state;
            }
            model.bytes = model.bytes.saturating_add(file.bytes);
            model.manifest.files.push(file);
        }
        Ok(model)
    }

    /// Whether the index is sound as a database. Reads all of it.
    pub fn check_index(&self) -> Result<()> {
        let said: String = self.index.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(self.fault())?;
        if said == "ok" {
            return Ok(());
        }
        Err(StoreError::IndexDamaged { file: self.root.join(INDEX_FILE).display().to_string(), reason: said })
    }
}

/// The model as the engine finds it.
pub(crate) fn found_model(model: &StoredModel) -> FoundModel {
    let names = model.manifest.files.iter().map(|file| file.path.as_str());
    // Several models in one folder are none of the store's making; the first part stands for a split one.
    let file = choose_gguf(&model.manifest.name, names).unwrap_or_default();
    FoundModel { name: model.manifest.name.clone(), folder: model.folder.clone(), file, is_own: false }
}

pub(super) fn insert(connection: &rusqlite::Connection, manifest: &Manifest) -> rusqlite::Result<()> {
    let Manifest { name, source, revision, files } = manifest;
    let sql = "INSERT INTO models (name, source, revision, folder, added_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
               ON CONFLICT (name) DO UPDATE SET source = ?2, revision = ?3, folder = ?4, added_at = ?5, used_at = ?5
               RETURNING id";
    let folder = BlobStore::folder_of(manifest);
    let id: i64 = connection.query_row(sql, params![name, source, revision, folder, now_s()], |row| row.get(0))?;
    connection.execute("DELETE FROM files WHERE model_id = ?1", [id])?;
    for file in files {
        connection.execute(
            "INSERT INTO files (model_id, path, sha256, urls) VALUES (?1, ?2, ?3, ?4)",
            params![id, file.path, file.sha256.0, file.urls.join("\n")],
        )?;
        connection.execute("UPDATE blobs SET reserved_at = NULL WHERE sha256 = ?1", params![file.sha256.0])?;
    }
    Ok(())
}

fn model(row: &Row<'_>) -> rusqlite::Result<(i64, StoredModel)> {
    let manifest = Manifest { name: row.get(0)?, source: row.get(1)?, revision: row.get(2)?, files: Vec::new() };
    let model = StoredModel {
        manifest,
        bytes: 0,
        is_pinned: row.get(4)?,
        state: ModelState::Whole,
        added_at_s: row.get(5)?,
        used_at_s: row.get(6)?,
        folder: PathBuf::from(row.get::<_, String>(3)?),
    };
    Ok((row.get(7)?, model))
}
