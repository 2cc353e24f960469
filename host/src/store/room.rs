//! Room: what the store takes, what it may take, and what goes.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{
    BlobId, BlobStore, Result, StoreError, StoredModel, folder::remove_folder, index::now_s, place::remove_file,
};

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// The models, by name.
    pub models: Vec<String>,
    /// How many blobs and unfinished files.
    pub files: u64,
    /// How long they were.
    pub bytes: u64,
    /// Whether unfinished downloads were left alone because one is under way.
    pub is_downloading: bool,
}

impl BlobStore {
    /// What the blobs take that are the store's own.
    pub fn used_bytes(&self) -> Result<u64> {
        let sql = "SELECT coalesce(sum(bytes), 0) FROM blobs WHERE is_linked = 0";
        self.index.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned).map_err(self.fault())
    }

    /// What the store may take.
    pub fn quota_bytes(&self) -> Result<Option<u64>> {
        let sql = "SELECT value FROM settings WHERE name = 'quota_bytes'";
        let quota = self.index.query_row(sql, [], |row| row.get::<_, i64>(0)).optional().map_err(self.fault())?;
        Ok(quota.map(i64::cast_unsigned))
    }

    /// Sets what the store may take.
    pub fn set_quota(&self, quota_bytes: Option<u64>) -> Result<()> {
        let transaction = self.change()?;
        let done = match quota_bytes {
            None => transaction.execute("DELETE FROM settings WHERE name = 'quota_bytes'", []),
            Some(bytes) => transaction.execute(
                "INSERT INTO settings (name, value) VALUES ('quota_bytes', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = ?1",
                [i64::try_from(bytes).unwrap_or(i64::MAX)],
            ),
        };
        done.map_err(self.fault())?;
        transaction.commit().map_err(self.fault())
    }

    /// Refuses what is more than the quota allows or the disk holds.
    pub fn require_room(&self, new_bytes: u64) -> Result<()> {
        let used_bytes = self.used_bytes()?;
        if let Some(quota_bytes) = self.quota_bytes()?
            && used_bytes.saturating_add(new_bytes) > quota_bytes
        {
            return Err(StoreError::OverQuota { new_bytes, used_bytes, quota_bytes });
        }
        let free_bytes = fs4::available_space(&self.root).map_err(|error| StoreError::io(&self.root, &error))?;
        if new_bytes > free_bytes {
            let folder = self.root.display().to_string();
            return Err(StoreError::NoSpace { folder, needed_bytes: new_bytes, free_bytes });
        }
        Ok(())
    }

    /// Removes models that are not pinned, those first that were not used for longest, until there is room. Nothing is
    /// removed if that would not be enough.
    pub fn make_room(&self, new_bytes: u64) -> Result<Freed> {
        self.require_writable()?;
        let refused = match self.require_room(new_bytes) {
            Ok(()) => return Ok(Freed::default()),
            Err(refused @ (StoreError::OverQuota { .. } | StoreError::NoSpace { .. })) => refused,
            Err(error) => return Err(error),
        };
        let short_bytes = match refused {
            StoreError::OverQuota { new_bytes, used_bytes, quota_bytes } => {
                used_bytes.saturating_add(new_bytes).saturating_sub(quota_bytes)
            }
            StoreError::NoSpace { needed_bytes, free_bytes, .. } => needed_bytes.saturating_sub(free_bytes),
            _ => 0,
        };
        let models = self.models()?;
        let mut loose: Vec<&StoredModel> = models.iter().filter(|model| !model.is_pinned).collect();
        loose.sort_by_key(|model| model.used_at_s);
        let kept = models.iter().filter(|model| model.is_pinned).flat_map(|model| &model.manifest.files);
        let kept: HashSet<BlobId> = kept.map(|file| file.sha256).collect();
        let mut seen = HashSet::new();
        let could_free: u64 = loose
            .iter()
            .flat_map(|model| &model.manifest.files)
            .filter(|file| !kept.contains(&file.sha256) && seen.insert(file.sha256))
            .map(|file| file.bytes)
            .sum();
        if could_free < short_bytes {
            return Err(refused);
        }
        let mut freed = Freed::default();
        for model in loose {
            let one = self.remove(&model.manifest.name)?;
            freed.models.extend(one.models);
            freed.files += one.files;
            freed.bytes += one.bytes;
            if self.require_room(new_bytes).is_ok() {
                return Ok(freed);
            }
        }
        self.require_room(new_bytes).map(|()| freed)
    }

    /// Takes a model off the list, with the blobs that no other model names.
    pub fn remove(&self, name: &str) -> Result<Freed> {
        let model = self.model(name)?;
        let transaction = self.change()?;
        transaction.execute("DELETE FROM models WHERE name = ?1", [name]).map_err(self.fault())?;
        transaction.commit().map_err(self.fault())?;
        let folder = model.folder.strip_prefix(&self.root).unwrap_or(&model.folder);
        let mut freed = self.clear(Some(&folder.to_string_lossy().replace('\\', "/")))?;
        freed.models.push(name.to_owned());
        Ok(freed)
    }

    /// Removes blobs that no model names any more, and the folder of one that is no more.
    pub(super) fn clear(&self, folder: Option<&str>) -> Result<Freed> {
        let transaction = self.change()?;
        let freed = drop_unnamed(self, &transaction)?;
        if let Some(folder) = folder {
            let sql = "SELECT count(*) FROM models WHERE folder = ?1";
            let users: i64 = transaction.query_row(sql, [folder], |row| row.get(0)).map_err(self.fault())?;
            if users == 0 {
                let path = self.root.join(folder);
                remove_folder(&path)?;
                // The folder of its name goes when it is empty.
                let _ = path.parent().map(fs::remove_dir);
            }
        }
        transaction.commit().map_err(self.fault())?;
        Ok(freed)
    }

    /// Removes what no model names: blobs, folders, and unfinished downloads that nobody touched for `keep`.
    pub fn collect_garbage(&self, keep: Duration) -> Result<Freed> {
        let fault = self.fault();
        let transaction = self.change()?;
        let before = now_s().saturating_sub(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
        let sql = "UPDATE blobs SET reserved_at = NULL WHERE reserved_at <= ?1";
        transaction.execute(sql, [before]).map_err(&fault)?;
        let mut freed = drop_unnamed(self, &transaction)?;
        for path in files_below(&self.root.join("blobs"), 3)? {
            let is_known = match blob_of(&path) {
                Some(blob) => self.blob_row(&blob)?.is_some(),
                None => false,
            };
            if !is_known && is_older(&path, keep) {
                freed.take(&path)?;
            }
        }
        let mut statement = transaction.prepare("SELECT folder FROM models").map_err(&fault)?;
        let folders = statement.query_map([], |row| row.get::<_, String>(0)).map_err(&fault)?;
        let folders: HashSet<String> = folders.collect::<rusqlite::Result<_>>().map_err(&fault)?;
        drop(statement);
        for folder in entries(&self.root.join("models"))?
            .iter()
            .map(|folder| entries(folder))
            .collect::<Result<Vec<_>>>()?
            .concat()
        {
            let relative = folder.strip_prefix(&self.root).unwrap_or(&folder).to_string_lossy().replace('\\', "/");
            if !folders.contains(&relative) {
                remove_folder(&folder)?;
            }
        }
        transaction.commit().map_err(&fault)?;
        self.collect_partials(keep, &mut freed)?;
        Ok(freed)
    }

    fn collect_partials(&self, keep: Duration, freed: &mut Freed) -> Result<()> {
        let folder = self.partial_folder();
        if !folder.is_dir() {
            return Ok(());
        }
        let lock = folder.join(".lock");
        let held = File::create(&lock).map_err(|error| StoreError::io(&lock, &error))?;
        if held.try_lock().is_err() {
            freed.is_downloading = true;
            return Ok(());
        }
        for path in entries(&folder)? {
            if path != lock && is_older(&path, keep) {
                freed.take(&path)?;
            }
        }
        Ok(())
    }
}

impl Freed {
    fn take(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        remove_file(path)?;
        self.files += 1;
        self.bytes += bytes;
        Ok(())
    }
}

/// Removes blobs that no model names and no download holds. Their files go before the change is committed: otherwise
/// another process could put the same blob there in between.
pub(super) fn drop_unnamed(store: &BlobStore, connection: &Connection) -> Result<Freed> {
    let fault = store.fault();
    let unnamed = "reserved_at IS NULL AND sha256 NOT IN (SELECT sha256 FROM files)";
    let sql = format!("SELECT sha256, bytes FROM blobs WHERE {unnamed}");
    let mut statement = connection.prepare(&sql).map_err(&fault)?;
    let read = |row: &rusqlite::Row<'_>| Ok((BlobId(row.get(0)?), row.get::<_, i64>(1)?));
    let rows = statement.query_map([], read).map_err(&fault)?.collect::<rusqlite::Result<Vec<_>>>().map_err(&fault)?;
    let mut freed = Freed::default();
    for (blob, bytes) in rows {
        remove_file(&store.blob_path(&blob))?;
        connection.execute("DELETE FROM blobs WHERE sha256 = ?1", params![blob.0]).map_err(&fault)?;
        freed.files += 1;
        freed.bytes += bytes.cast_unsigned();
    }
    Ok(freed)
}

fn blob_of(path: &Path) -> Option<BlobId> {
    let rest = path.file_name()?.to_str()?;
    let first = path.parent()?.file_name()?.to_str()?;
    format!("{first}{rest}").parse().ok()
}

fn is_older(path: &Path, keep: Duration) -> bool {
    let touched = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    touched.is_ok_and(|touched| SystemTime::now().duration_since(touched).is_ok_and(|age| age >= keep))
}

/// What lies in a folder; nothing if there is none.
pub(super) fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let failed = |error: io::Error| StoreError::io(folder, &error);
    match fs::read_dir(folder) {
        Ok(entries) => {
            let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
            paths.map_err(failed)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

fn files_below(folder: &Path, depth: usize) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if depth > 0 && path.is_dir() {
            found.extend(files_below(&path, depth - 1)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
