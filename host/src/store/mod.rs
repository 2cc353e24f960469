//! The models that Hearth keeps itself: each file once, under the hash of its bytes, and an index of which model has
//! which files. [`crate::ModelStore`] finds models by name, among them those that lie here; `docs/store.md` says what
//! lies where.
//!
//! Every change is one transaction of the index, which also keeps two processes apart: files take their places and
//! leave them only while it is held.

mod blob;
mod check;
mod error;
mod folder;
mod import;
mod index;
mod models;
mod place;
mod room;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub use blob::{BlobId, CHUNK_BYTES, ChunkTable};
pub use check::{BlobCheck, FileCheck, FileState};
pub use error::{Result, StoreError};
pub use import::ImportMode;
pub(crate) use models::found_model;
pub use models::{Manifest, ModelFile, ModelState, NewModel, StoredModel};
pub use place::{Held, Staged};
pub use room::Freed;

/// The index's name in the store's folder.
pub const INDEX_FILE: &str = "index.sqlite";

/// A folder of blobs and its index. Every process opens its own.
pub struct BlobStore {
    root: PathBuf,
    index: Connection,
    is_read_only: bool,
}

impl BlobStore {
    /// Where the store usually is: `HEARTH_STORE`, or `store` in `HEARTH_DATA` or in the system's folder for an app's
    /// data.
    pub fn usual_folder() -> Option<PathBuf> {
        if let Some(folder) = std::env::var_os("HEARTH_STORE") {
            return Some(PathBuf::from(folder));
        }
        Some(crate::ModelStore::usual_memory()?.with_file_name("store"))
    }

    /// Opens the store, or makes it. One that may not be written is opened to be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = std::path::absolute(root.into()).map_err(|error| StoreError::io(Path::new("."), &error))?;
        let (index, is_read_only) = index::open(&root)?;
        Ok(Self { root, index, is_read_only })
    }

    /// Opens the store if there is one.
    pub fn open_existing(root: impl Into<PathBuf>) -> Result<Option<Self>> {
        let root = root.into();
        if root.join(INDEX_FILE).is_file() { Self::open(root).map(Some) } else { Ok(None) }
    }

    /// Opens the store, if there is one, without asking for the right to write.
    pub(crate) fn open_to_read(root: &Path) -> Result<Option<Self>> {
        let Some(index) = index::open_existing(root)? else { return Ok(None) };
        Ok(Some(Self { root: root.to_owned(), index, is_read_only: true }))
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Refuses what would change a store that can only be read.
    pub fn require_writable(&self) -> Result<()> {
        if self.is_read_only { Err(StoreError::read_only(&self.root)) } else { Ok(()) }
    }

    /// Where a blob lies, whether or not it is there.
    pub fn blob_path(&self, blob: &BlobId) -> PathBuf {
        let hex = blob.to_string();
        let (first, rest) = hex.split_at(2);
        self.root.join("blobs").join("sha256").join(first).join(rest)
    }

    /// Where files lie that are not whole yet.
    pub fn partial_folder(&self) -> PathBuf {
        self.root.join("partial")
    }
}
