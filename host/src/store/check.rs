//! Checking blobs against their hashes, and mending single chunks.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
};

use rusqlite::params;
use serde::Serialize;

use super::{BlobId, BlobStore, ChunkTable, Result, StoreError, blob::hash_stream, index::BlobRow, place::remove_file};

/// How a blob is, after it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobCheck {
    /// Every byte is as it should be.
    Whole,
    /// It is not there.
    Missing,
    /// These chunks are damaged or beyond the file's end.
    Damaged(Vec<u64>),
}

/// How a file of a model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FileState {
    /// Every byte is as it should be.
    Whole,
    /// It is not there.
    Missing,
    /// Its bytes are whole, but the model's folder does not show them.
    Unlinked,
    /// Some of it is damaged.
    Damaged {
        /// Which chunks, from 0 on.
        chunks: Vec<u64>,
        /// How long a chunk is.
        chunk_bytes: u32,
    },
}

/// What a check found out about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileCheck {
    /// The file's name in the model's folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// The hash it should have.
    pub sha256: BlobId,
    /// How it is.
    #[serde(flatten)]
    pub state: FileState,
}

impl BlobStore {
    /// Reads all files of a model and compares them with their hashes. `watch` hears of every few bytes how many there
    /// were, and may end it.
    pub fn verify(&self, name: &str, watch: &mut dyn FnMut(u64) -> Result<()>) -> Result<Vec<FileCheck>> {
        let model = self.model(name)?;
        let mut checks = Vec::new();
        for file in model.manifest.files {
            let check = self.check_blob_watched(&file.sha256, watch)?;
            self.remember(&file.sha256, &check)?;
            let shown = fs::metadata(model.folder.join(&file.path));
            let state = match check {
                BlobCheck::Whole if shown.is_ok_and(|shown| shown.len() == file.bytes) => FileState::Whole,
                BlobCheck::Whole => FileState::Unlinked,
                BlobCheck::Missing => FileState::Missing,
                BlobCheck::Damaged(chunks) => {
                    let chunk_bytes = self.blob_row(&file.sha256)?.map_or(0, |row| row.table.chunk_bytes);
                    FileState::Damaged { chunks, chunk_bytes }
                }
            };
            checks.push(FileCheck { path: file.path, bytes: file.bytes, sha256: file.sha256, state });
        }
        Ok(checks)
    }

    /// Reads a blob and compares it with its hashes.
    pub fn check_blob(&self, blob: &BlobId) -> Result<BlobCheck> {
        self.check_blob_watched(blob, &mut |_| Ok(()))
    }

    fn check_blob_watched(&self, blob: &BlobId, watch: &mut dyn FnMut(u64) -> Result<()>) -> Result<BlobCheck> {
        let path = self.blob_path(blob);
        let Some(row) = self.blob_row(blob)? else { return Ok(BlobCheck::Missing) };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BlobCheck::Missing),
            Err(error) => return Err(StoreError::io(&path, &error)),
        };
        let mut read = |chunk: &[u8]| watch(chunk.len() as u64).map_err(Broken::Store);
        let hashed = hash_stream::<Broken>(file, row.table.chunk_bytes, &mut read);
        let (found, bytes, table) = hashed.map_err(|broken| match broken {
            Broken::Io(error) => StoreError::io(&path, &error),
            Broken::Store(error) => error,
        })?;
        if found == *blob && bytes == row.bytes && table == row.table {
            return Ok(BlobCheck::Whole);
        }
        let differs = |index: &u64| {
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            table.hashes.get(at) != row.table.hashes.get(at)
        };
        let count = ChunkTable::count(row.bytes, row.table.chunk_bytes);
        let damaged: Vec<u64> = (0..count).filter(differs).collect();
        // All chunks are right and the whole is not: there is more at the end, or the table is wrong. Either way the
        // last chunk, or all, are written again.
        let is_longer = damaged.is_empty() && bytes > row.bytes;
        let again = if is_longer { count.saturating_sub(1)..count } else { 0..count };
        Ok(BlobCheck::Damaged(if damaged.is_empty() { again.collect() } else { damaged }))
    }

    /// Writes into the index how many chunks of a blob are damaged, where it may be written.
    fn remember(&self, blob: &BlobId, check: &BlobCheck) -> Result<()> {
        let count = match check {
            BlobCheck::Whole | BlobCheck::Missing => 0,
            BlobCheck::Damaged(chunks) => chunks.len() as u64,
        };
        if self.is_read_only() || self.blob_row(blob)?.is_none_or(|row| row.damaged_chunks == count) {
            return Ok(());
        }
        self.set_damaged(blob, count)
    }

    fn set_damaged(&self, blob: &BlobId, count: u64) -> Result<()> {
        let transaction = self.change()?;
        let sql = "UPDATE blobs SET damaged_chunks = ?2 WHERE sha256 = ?1";
        transaction.execute(sql, params![blob.0, count.cast_signed()]).map_err(self.fault())?;
        transaction.commit().map_err(self.fault())
    }

    /// A blob's length and the hashes of its chunks.
    pub fn chunk_table(&self, blob: &BlobId) -> Result<(u64, ChunkTable)> {
        let row = self.blob_row(blob)?.ok_or_else(|| StoreError::MissingBlob { file: blob.to_string() })?;
        Ok((row.bytes, row.table))
    }

    /// Prepares a blob to be mended: it counts as damaged until [`end_repair`](Self::end_repair), has its length, and is
    /// the store's own. Returns the chunks that are needed, with where each begins and how long it is.
    pub fn begin_repair(&self, blob: &BlobId) -> Result<Vec<(u64, u64, u32)>> {
        self.require_writable()?;
        let missing = || StoreError::MissingBlob { file: blob.to_string() };
        let row = self.blob_row(blob)?.ok_or_else(missing)?;
        let count = ChunkTable::count(row.bytes, row.table.chunk_bytes);
        let chunks = match self.check_blob(blob)? {
            BlobCheck::Whole => {
                self.remember(blob, &BlobCheck::Whole)?;
                return Ok(Vec::new());
            }
            BlobCheck::Missing => (0..count).collect(),
            BlobCheck::Damaged(chunks) => chunks,
        };
        self.set_damaged(blob, (chunks.len() as u64).max(1))?;
        let path = self.blob_path(blob);
        let failed = |error: io::Error| StoreError::io(&path, &error);
        if row.is_linked || !path.is_file() {
            self.make_own(blob, &row)?;
        }
        let file = File::options().write(true).open(&path).map_err(failed)?;
        file.set_len(row.bytes).map_err(failed)?;
        let places = chunks.into_iter().filter_map(|index| {
            ChunkTable::place(index, row.bytes, row.table.chunk_bytes).map(|(offset, bytes)| (index, offset, bytes))
        });
        Ok(places.collect())
    }

    /// In place of a person's own file, or of none, a copy that may be written.
    fn make_own(&self, blob: &BlobId, row: &BlobRow) -> Result<()> {
        let path = self.blob_path(blob);
        let folder = self.partial_folder();
        let copy = folder.join(format!("repair-{blob}"));
        let made = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            if path.is_file() {
                fs::copy(&path, &copy)?;
            } else {
                File::create(&copy)?.set_len(row.bytes)?;
            }
            File::options().write(true).open(&copy)?.sync_all()
        };
        made().map_err(|error| StoreError::io(&copy, &error))?;
        let transaction = self.change()?;
        fs::rename(&copy, &path).map_err(|error| StoreError::io(&path, &error))?;
        remove_file(&copy)?;
        let sql = "UPDATE blobs SET is_linked = 0 WHERE sha256 = ?1";
        transaction.execute(sql, params![blob.0]).map_err(self.fault())?;
        self.relink(blob)?;
        transaction.commit().map_err(self.fault())
    }

    /// Writes one chunk, if its bytes are the right ones.
    pub fn mend(&self, blob: &BlobId, index: u64, bytes: &[u8]) -> Result<()> {
        let path = self.blob_path(blob);
        let row = self.blob_row(blob)?.ok_or_else(|| StoreError::MissingBlob { file: blob.to_string() })?;
        let wanted = usize::try_from(index).ok().and_then(|index| row.table.hashes.get(index)).copied();
        let place = ChunkTable::place(index, row.bytes, row.table.chunk_bytes);
        let (Some(wanted), Some((offset, _))) = (wanted, place) else {
            return Err(StoreError::MissingBlob { file: format!("chunk {index} of {blob}") });
        };
        let (expected, found) = (BlobId(wanted), BlobId::of(bytes));
        if found != expected {
            return Err(StoreError::WrongHash { file: format!("chunk {index} of {blob}"), expected, found });
        }
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write().map_err(|error| StoreError::io(&path, &error))
    }

    /// Checks a mended blob as a whole; only then it counts as sound again.
    pub fn end_repair(&self, blob: &BlobId) -> Result<()> {
        let check = self.check_blob(blob)?;
        self.remember(blob, &check)?;
        match check {
            BlobCheck::Whole => self.show_again(blob),
            _ => Err(StoreError::MissingBlob { file: blob.to_string() }),
        }
    }

    /// Shows a sound blob again in the folders of its models.
    pub fn show_again(&self, blob: &BlobId) -> Result<()> {
        let transaction = self.change()?;
        self.relink(blob)?;
        transaction.commit().map_err(self.fault())
    }
}

/// Why hashing ended early.
enum Broken {
    Io(io::Error),
    Store(StoreError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
