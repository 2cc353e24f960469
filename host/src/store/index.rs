//! The index's tables, how it is opened, and what is read from it in more than one place.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{BlobId, BlobStore, ChunkTable, INDEX_FILE, Result, StoreError};

/// "HrtB": what says that a database is such an index (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x4872_7442;
/// The tables' version (SQLite's `user_version`).
const VERSION: i64 = 1;
/// How long another process may keep the index to itself.
const BUSY_MAX: Duration = Duration::from_secs(30);

const TABLES: &str = "
    CREATE TABLE blobs (
        sha256 BLOB PRIMARY KEY, bytes INTEGER NOT NULL, chunk_bytes INTEGER NOT NULL, chunks BLOB NOT NULL,
        is_linked INTEGER NOT NULL, damaged_chunks INTEGER NOT NULL DEFAULT 0, reserved_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE models (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, source TEXT NOT NULL, revision TEXT NOT NULL,
        folder TEXT NOT NULL, is_pinned INTEGER NOT NULL DEFAULT 0, added_at INTEGER NOT NULL, used_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE files (
        model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE, path TEXT NOT NULL,
        sha256 BLOB NOT NULL REFERENCES blobs (sha256), urls TEXT NOT NULL,
        PRIMARY KEY (model_id, path)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX files_by_blob ON files (sha256);
    CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// What the index knows of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlobRow {
    pub bytes: u64,
    pub table: ChunkTable,
    /// Whether it is a person's own file, which must not be written.
    pub is_linked: bool,
    pub damaged_chunks: u64,
}

/// Opens the index and says whether it can only be read.
pub(super) fn open(root: &Path) -> Result<(Connection, bool)> {
    let file = root.join(INDEX_FILE);
    let refused = match open_to_write(root, &file) {
        Ok(connection) => return Ok((connection, false)),
        Err(refused) => refused,
    };
    if !matches!(refused, StoreError::ReadOnly { .. }) || !file.is_file() {
        return Err(refused);
    }
    open_to_read(&file).map(|connection| (connection, true))
}

/// Opens the index to read it, if there is one.
pub(super) fn open_existing(root: &Path) -> Result<Option<Connection>> {
    let file = root.join(INDEX_FILE);
    if file.is_file() { open_to_read(&file).map(Some) } else { Ok(None) }
}

fn open_to_read(file: &Path) -> Result<Connection> {
    // Where the log's -shm may not be made, SQLite reads only what it is told will not change.
    open_read_only(file, "mode=ro").or_else(|_| open_read_only(file, "immutable=1"))
}

fn open_to_write(root: &Path, file: &Path) -> Result<Connection> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    std::fs::create_dir_all(root).map_err(|error| match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => StoreError::read_only(root),
        _ => StoreError::io(root, &error),
    })?;
    let fault = |error: rusqlite::Error| match error.sqlite_error_code() {
        // The folder is there: what cannot be opened in it may not be written.
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => StoreError::read_only(root),
        _ => StoreError::index(file, error),
    };
    let connection = Connection::open(file).map_err(fault)?;
    connection.busy_timeout(BUSY_MAX).map_err(fault)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(fault)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate).map_err(fault)?;
    if is_new(&transaction, file)? {
        transaction.execute_batch(TABLES).map_err(fault)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(fault)?;
    }
    transaction.commit().map_err(fault)?;
    // Another process that opens it at this moment may refuse; then the mode stays as it is, and right.
    let _ = connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
    Ok(connection)
}

fn open_read_only(file: &Path, how: &str) -> Result<Connection> {
    const RESERVED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');
    let path = file.to_string_lossy();
    let uri = format!("file:{}?{how}", utf8_percent_encode(&path, RESERVED));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fault = |error| StoreError::index(file, error);
    let connection = Connection::open_with_flags(uri, flags).map_err(fault)?;
    connection.busy_timeout(BUSY_MAX).map_err(fault)?;
    if is_new(&connection, file)? {
        return Err(StoreError::read_only(file.parent().unwrap_or(file)));
    }
    Ok(connection)
}

/// Whether the database is empty; an error if it is not an index that is known.
fn is_new(connection: &Connection, file: &Path) -> Result<bool> {
    let fault = |error| StoreError::index(file, error);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id").map_err(fault)?, number("user_version").map_err(fault)?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    let name = || file.display().to_string();
    match (application, version) {
        (APPLICATION_ID, VERSION) => Ok(false),
        (0, 0) if tables == 0 => Ok(true),
        (APPLICATION_ID, found) => Err(StoreError::IndexNewer { file: name(), found, known: VERSION }),
        _ => Err(StoreError::IndexDamaged { file: name(), reason: "it belongs to another program".to_owned() }),
    }
}

impl BlobStore {
    pub(super) fn fault(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let file: PathBuf = self.root.join(INDEX_FILE);
        move |error| StoreError::index(&file, error)
    }

    /// Begins a change, while which no other process makes one.
    pub(super) fn change(&self) -> Result<Transaction<'_>> {
        self.require_writable()?;
        Transaction::new_unchecked(&self.index, TransactionBehavior::Immediate).map_err(self.fault())
    }

    pub(super) fn blob_row(&self, blob: &BlobId) -> Result<Option<BlobRow>> {
        let fault = self.fault();
        let sql = "SELECT bytes, chunk_bytes, chunks, is_linked, damaged_chunks FROM blobs WHERE sha256 = ?1";
        let row = self
            .index
            .query_row(sql, params![blob.0], |row| {
                let chunks: Vec<u8> = row.get(2)?;
                Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?, chunks, row.get(3)?, row.get::<_, i64>(4)?))
            })
            .optional()
            .map_err(&fault)?;
        let Some((bytes, chunk_bytes, chunks, is_linked, damaged)) = row else { return Ok(None) };
        let table = ChunkTable::from_bytes(chunk_bytes, &chunks).filter(|table| {
            u64::try_from(table.hashes.len())
                .is_ok_and(|count| count == ChunkTable::count(bytes.cast_unsigned(), chunk_bytes))
        });
        let table = table.ok_or_else(|| StoreError::IndexDamaged {
            file: self.root.join(INDEX_FILE).display().to_string(),
            reason: format!("the chunk table of {blob} does not fit its length"),
        })?;
        Ok(Some(BlobRow { bytes: bytes.cast_unsigned(), table, is_linked, damaged_chunks: damaged.cast_unsigned() }))
    }
}

/// Seconds since 1970.
pub(super) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}
