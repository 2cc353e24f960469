//! How a file takes its place among the blobs: whole, checked and on the disk, or not at all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::params;

use super::{BlobId, BlobStore, ChunkTable, Result, StoreError, blob::hash_stream, check::BlobCheck, index::now_s};

/// What the store has of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it, as far as is known.
    Whole,
    /// It is there, but is known to be damaged or has the wrong length.
    Damaged,
    /// Nothing.
    Nothing,
}

/// A file that is whole and checked, and on the same disk as the store.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Where it lies; it is moved from there.
    pub path: PathBuf,
    /// The hash of its bytes.
    pub blob: BlobId,
    /// How long it is.
    pub bytes: u64,
    /// The hashes of its chunks.
    pub table: ChunkTable,
    /// Whether it is a link to a person's own file.
    pub is_linked: bool,
}

impl Staged {
    /// Reads a file and takes its hashes. It has to lie on the disk of the store.
    pub fn from_file(path: PathBuf, chunk_bytes: u32) -> Result<Self> {
        let failed = |error: io::Error| StoreError::io(&path, &error);
        let file = File::open(&path).map_err(failed)?;
        let (blob, bytes, table) = hash_stream::<io::Error>(file, chunk_bytes, &mut |_| Ok(())).map_err(failed)?;
        Ok(Self { path, blob, bytes, table, is_linked: false })
    }
}

impl BlobStore {
    /// What there is of a blob, without reading it. A file that took its place just before its process was killed is
    /// read once, and counts from then on.
    pub fn holds(&self, blob: &BlobId) -> Result<Held> {
        let path = self.blob_path(blob);
        let found_bytes = fs::metadata(&path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
        match (self.blob_row(blob)?, found_bytes) {
            (Some(row), Some(bytes)) if bytes == row.bytes && row.damaged_chunks == 0 => Ok(Held::Whole),
            (Some(_), Some(_)) => Ok(Held::Damaged),
            (None, Some(_)) if !self.is_read_only() => self.adopt(blob, &path),
            (_, None) | (None, Some(_)) => Ok(Held::Nothing),
        }
    }

    fn adopt(&self, blob: &BlobId, path: &Path) -> Result<Held> {
        let failed = |error: io::Error| StoreError::io(path, &error);
        let file = File::open(path).map_err(failed)?;
        let (found, bytes, table) =
            hash_stream::<io::Error>(file, super::CHUNK_BYTES, &mut |_| Ok(())).map_err(failed)?;
        if found != *blob {
            return Ok(Held::Nothing);
        }
        let is_linked = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        let transaction = self.change()?;
        let staged = Staged { path: path.to_owned(), blob: found, bytes, table, is_linked };
        insert(&transaction, &staged).map_err(self.fault())?;
        transaction.commit().map_err(self.fault())?;
        Ok(Held::Whole)
    }

    /// Moves a file to its place. It stays there, though no model names it yet, as long as `gc` spares what is new.
    pub fn place(&self, staged: &Staged) -> Result<()> {
        // What lies there already is kept if it is sound: models are linked to it.
        let is_sound = self.blob_row(&staged.blob)?.is_some() && self.check_blob(&staged.blob)? == BlobCheck::Whole;
        let path = self.blob_path(&staged.blob);
        let failed = |error: io::Error| StoreError::io(&path, &error);
        let transaction = self.change()?;
        if !(is_sound && path.is_file()) {
            let folder = path.parent().unwrap_or(&self.root);
            fs::create_dir_all(folder).map_err(failed)?;
            fs::rename(&staged.path, &path).map_err(failed)?;
            sync_folder(folder)?;
            insert(&transaction, staged).map_err(self.fault())?;
            self.relink(&staged.blob)?;
        }
        transaction.commit().map_err(self.fault())?;
        // After a rename onto another link to the same bytes the first one is still there (rename(2)).
        remove_file(&staged.path)
    }
}

fn insert(connection: &rusqlite::Connection, staged: &Staged) -> rusqlite::Result<()> {
    let sql = "INSERT INTO blobs (sha256, bytes, chunk_bytes, chunks, is_linked, reserved_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (sha256) DO UPDATE SET bytes = ?2, chunk_bytes = ?3, chunks = ?4, is_linked = ?5,
               damaged_chunks = 0";
    let Staged { blob, bytes, table, is_linked, .. } = staged;
    let chunks = table.to_bytes();
    connection
        .execute(sql, params![blob.0, bytes.cast_signed(), table.chunk_bytes, chunks, is_linked, now_s()])
        .map(drop)
}

/// Makes a rename in a folder outlast a loss of power.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::io(folder, &error))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, &error)),
        _ => Ok(()),
    }
}
