//! A model's folder: links to its blobs under the names that the engine asks for.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rusqlite::params;

use super::{
    BlobId, BlobStore, Manifest, Result, StoreError,
    place::{remove_file, sync_folder},
};

/// The file in a model's folder that says what the model is; the index can be made anew from these.
pub(super) const MANIFEST_FILE: &str = "manifest.json";

impl BlobStore {
    /// The folder of a manifest, in the store: another one as soon as anything in the manifest is another.
    pub(super) fn folder_of(manifest: &Manifest) -> String {
        let id = BlobId::of(manifest.to_json().as_bytes()).to_string();
        format!("models/{}/{}", manifest.name, id.get(..16).unwrap_or(&id))
    }

    /// Makes the folder of a manifest whose blobs are in their places.
    pub(super) fn make_folder(&self, manifest: &Manifest) -> Result<PathBuf> {
        let folder = self.root.join(Self::folder_of(manifest));
        let is_whole = |file: &super::ModelFile| {
            fs::metadata(folder.join(&file.path)).is_ok_and(|metadata| metadata.len() == file.bytes)
        };
        if folder.join(MANIFEST_FILE).is_file() && manifest.files.iter().all(is_whole) {
            return Ok(folder);
        }
        let failed = |path: &Path, error: &io::Error| StoreError::io(path, error);
        let above = folder.parent().unwrap_or(&self.root);
        let new = above.join(".new");
        for old in [&new, &folder] {
            remove_folder(old)?;
        }
        fs::create_dir_all(&new).map_err(|error| failed(&new, &error))?;
        for file in &manifest.files {
            let place = new.join(&file.path);
            let within = place.parent().unwrap_or(&new);
            fs::create_dir_all(within).map_err(|error| failed(within, &error))?;
            link(&self.blob_path(&file.sha256), &place)?;
        }
        let path = new.join(MANIFEST_FILE);
        let write = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(manifest.to_json().as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| failed(&path, &error))?;
        sync_folder(&new)?;
        fs::rename(&new, &folder).map_err(|error| failed(&folder, &error))?;
        sync_folder(above)?;
        Ok(folder)
    }

    /// Links the folders of all models that name a blob to what lies in its place now.
    pub(super) fn relink(&self, blob: &BlobId) -> Result<()> {
        let fault = self.fault();
        let sql = "SELECT folder, path FROM files JOIN models ON models.id = model_id WHERE sha256 = ?1";
        let mut statement = self.index.prepare(sql).map_err(&fault)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let places = statement.query_map(params![blob.0], read).map_err(&fault)?;
        let places = places.collect::<rusqlite::Result<Vec<_>>>().map_err(&fault)?;
        for (folder, path) in places {
            let place = self.root.join(folder).join(path);
            let within = place.parent().unwrap_or(&self.root);
            fs::create_dir_all(within).map_err(|error| StoreError::io(within, &error))?;
            remove_file(&place)?;
            link(&self.blob_path(blob), &place)?;
        }
        Ok(())
    }
}

/// A second name for a file: a hard link where the system makes them, else a symbolic one.
pub(super) fn link(from: &Path, to: &Path) -> Result<()> {
    let Err(refused) = fs::hard_link(from, to) else { return Ok(()) };
    symbolic(from, to).map_err(|_| StoreError::io(to, &refused))
}

#[cfg(unix)]
fn symbolic(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn symbolic(from: &Path, to: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(from, to)
}

#[cfg(not(any(unix, windows)))]
fn symbolic(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a folder, if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, &error)),
        _ => Ok(()),
    }
}
