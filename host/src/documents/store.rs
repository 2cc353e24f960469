//! The database file: documents, their chunks, and each chunk's vector.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use hearth_engine::protocol::{Document, DocumentKind, Passage, PassageRange};

use super::{
    error::{DocumentError, Result},
    source::kind_name,
};

/// "Hrth": what says that a database is Hearth's (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x4872_7468;
/// The tables' version (SQLite's `user_version`).
const VERSION: i64 = 1;
/// How long another process may keep the file to itself.
const BUSY_MAX: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, kind TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,
        characters INTEGER NOT NULL, added_at TEXT NOT NULL,
        model TEXT NOT NULL, weights_bytes INTEGER NOT NULL, dimensions INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        heading TEXT NOT NULL, start_character INTEGER NOT NULL, end_character INTEGER NOT NULL, text TEXT NOT NULL,
        vector BLOB NOT NULL
    ) STRICT;
    CREATE INDEX chunks_by_document ON chunks (document_id);
";

const DOCUMENT_COLUMNS: &str = "id, name, kind, characters, added_at, model, dimensions,
    (SELECT count(*) FROM chunks WHERE document_id = documents.id)";

/// What makes vectors comparable: two models of one name but of different weights are two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VectorModel {
    pub name: String,
    pub weights_bytes: u64,
    pub dimensions: u32,
}

/// A chunk as it is stored.
pub(super) struct StoredChunk {
    pub heading: String,
    pub characters: PassageRange,
    pub text: String,
    pub vector: Vec<f32>,
}

/// A chunk as it is read again, without its vector.
pub(super) struct KeptChunk {
    pub heading: String,
    pub characters: PassageRange,
    pub text: String,
}

/// A document as it is stored.
pub(super) struct NewDocument<'a> {
    pub name: &'a str,
    pub kind: DocumentKind,
    pub hash: [u8; 32],
    pub characters: u32,
    pub added_at: String,
    pub model: &'a VectorModel,
    pub chunks: &'a [StoredChunk],
}

pub(super) struct Store {
    connection: Connection,
    file: String,
}

impl Store {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| DocumentError::Io { file: folder.display().to_string(), reason: error.to_string() })?;
        }
        let connection = Connection::open(path).map_err(|error| refused(&file, error))?;
        let mut store = Self { connection, file };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&mut self) -> Result<()> {
        let fault = self.fault();
        self.connection.busy_timeout(BUSY_MAX).map_err(&fault)?;
        self.connection.pragma_update(None, "foreign_keys", true).map_err(&fault)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fault)?;
        let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) =
            (number("application_id").map_err(&fault)?, number("user_version").map_err(&fault)?);
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(&fault)?;
        match (application, version) {
            (APPLICATION_ID, VERSION) => Ok(()),
            (0, 0) if tables == 0 => {
                transaction.execute_batch(TABLES).map_err(&fault)?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(&fault)?;
                transaction.pragma_update(None, "user_version", VERSION).map_err(&fault)?;
                transaction.commit().map_err(&fault)
            }
            (APPLICATION_ID, newer) => Err(fault_of(&self.file, format!("a newer Hearth made it (version {newer})"))),
            _ => Err(fault_of(&self.file, "it belongs to another program")),
        }
    }

    /// Whether a document of these bytes is there, and with which model's vectors.
    pub fn find(&self, hash: &[u8; 32]) -> Result<Option<(Document, VectorModel)>> {
        let sql = format!("SELECT {DOCUMENT_COLUMNS}, weights_bytes FROM documents WHERE hash = ?1");
        let read = |row: &Row<'_>| {
            let document = document(row)?;
            let weights_bytes = row.get::<_, i64>(8)?.cast_unsigned();
            let model = VectorModel { name: document.model.clone(), weights_bytes, dimensions: document.dimensions };
            Ok((document, model))
        };
        self.connection.query_row(&sql, params![hash], read).optional().map_err(self.fault())
    }

    /// All documents, in the order in which they were added.
    pub fn documents(&self) -> Result<Vec<Document>> {
        let fault = self.fault();
        let sql = format!("SELECT {DOCUMENT_COLUMNS} FROM documents ORDER BY id");
        let mut statement = self.connection.prepare(&sql).map_err(&fault)?;
        let rows = statement.query_map([], document).map_err(&fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(&fault)
    }

    /// Writes a document with all of its chunks, in place of one of the same bytes: all of it or nothing.
    pub fn insert(&mut self, new: &NewDocument<'_>) -> Result<i64> {
        let fault = self.fault();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fault)?;
        let id = insert(&transaction, new).map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(id)
    }

    /// Takes a document away with its chunks. Returns whether it was there.
    pub fn remove(&mut self, id: i64) -> Result<bool> {
        let removed = self.connection.execute("DELETE FROM documents WHERE id = ?1", [id]).map_err(self.fault())?;
        Ok(removed > 0)
    }

    /// A document whose vectors are of another model than this, and how many there are.
    pub fn other_model(&self, model: &VectorModel) -> Result<Option<(String, u64)>> {
        let sql = "SELECT min(model), count(*) FROM documents
                   WHERE model <> ?1 OR weights_bytes <> ?2 OR dimensions <> ?3";
        let parameters = params![model.name, model.weights_bytes.cast_signed(), model.dimensions];
        let read = |row: &Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, i64>(1)?));
        let (name, count) = self.connection.query_row(sql, parameters, read).map_err(self.fault())?;
        Ok(name.map(|name| (name, count.cast_unsigned())))
    }

    /// The documents whose vectors are not this model's.
    pub fn strangers(&self, model: &str, weights_bytes: u64) -> Result<Vec<Document>> {
        let fault = self.fault();
        let sql =
            format!("SELECT {DOCUMENT_COLUMNS} FROM documents WHERE model <> ?1 OR weights_bytes <> ?2 ORDER BY id");
        let mut statement = self.connection.prepare(&sql).map_err(&fault)?;
        let rows = statement.query_map(params![model, weights_bytes.cast_signed()], document).map_err(&fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(&fault)
    }

    /// A document's chunks, in their order.
    pub fn kept_chunks(&self, id: i64) -> Result<Vec<KeptChunk>> {
        let fault = self.fault();
        let sql = "SELECT heading, start_character, end_character, text FROM chunks WHERE document_id = ?1 ORDER BY id";
        let mut statement = self.connection.prepare(sql).map_err(&fault)?;
        let read = |row: &Row<'_>| {
            let characters = PassageRange { start: count(row, 1)?, end: count(row, 2)? };
            Ok(KeptChunk { heading: row.get(0)?, characters, text: row.get(3)? })
        };
        let rows = statement.query_map([id], read).map_err(&fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(&fault)
    }

    /// Gives a document other chunks, of another model: all of them or none. Nothing happens if it is gone.
    pub fn replace_chunks(&mut self, id: i64, model: &VectorModel, chunks: &[StoredChunk]) -> Result<()> {
        let fault = self.fault();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fault)?;
        replace_chunks(&transaction, id, model, chunks).map_err(&fault)?;
        transaction.commit().map_err(&fault)
    }

    /// Gives every chunk's number and vector to `visit`.
    pub fn visit_vectors(&self, dimensions: usize, visit: &mut dyn FnMut(i64, &[f32])) -> Result<()> {
        let fault = self.fault();
        let mut statement = self.connection.prepare("SELECT id, vector FROM chunks ORDER BY id").map_err(&fault)?;
        let mut rows = statement.query([]).map_err(&fault)?;
        let mut vector = Vec::with_capacity(dimensions);
        while let Some(row) = rows.next().map_err(&fault)? {
            let id: i64 = row.get(0).map_err(&fault)?;
            let value = row.get_ref(1).map_err(&fault)?;
            let (words, rest) = value.as_blob().map_err(|error| fault_of(&self.file, error))?.as_chunks::<4>();
            vector.clear();
            vector.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
            if !rest.is_empty() || vector.len() != dimensions {
                return Err(fault_of(&self.file, format!("the vector of chunk {id} is damaged")));
            }
            visit(id, &vector);
        }
        Ok(())
    }

    /// A chunk as a result of a search.
    pub fn passage(&self, id: i64, score: f64) -> Result<Passage> {
        let sql = "SELECT documents.id, documents.name, heading, start_character, end_character, text
                   FROM chunks JOIN documents ON documents.id = document_id WHERE chunks.id = ?1";
        let read = |row: &Row<'_>| {
            let characters = PassageRange { start: count(row, 3)?, end: count(row, 4)? };
            Ok(Passage {
                score,
                document_id: row.get(0)?,
                document: row.get(1)?,
                heading: row.get(2)?,
                characters,
                text: row.get(5)?,
            })
        };
        self.connection.query_row(sql, [id], read).map_err(self.fault())
    }

    /// Keeps what is read between two calls the same.
    pub fn begin_reading(&self) -> Result<Transaction<'_>> {
        self.connection.unchecked_transaction().map_err(self.fault())
    }

    fn fault(&self) -> impl Fn(rusqlite::Error) -> DocumentError + use<> {
        let file = self.file.clone();
        move |error| refused(&file, error)
    }
}

fn insert(transaction: &Transaction<'_>, new: &NewDocument<'_>) -> rusqlite::Result<i64> {
    transaction.execute("DELETE FROM documents WHERE hash = ?1", params![new.hash])?;
    let VectorModel { name: model, weights_bytes, dimensions } = new.model;
    transaction.execute(
        "INSERT INTO documents (name, kind, hash, characters, added_at, model, weights_bytes, dimensions)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            new.name,
            kind_name(new.kind),
            new.hash,
            new.characters,
            new.added_at,
            model,
            weights_bytes.cast_signed(),
            dimensions,
        ],
    )?;
    let id = transaction.last_insert_rowid();
    insert_chunks(transaction, id, new.chunks)?;
    Ok(id)
}

fn replace_chunks(
    transaction: &Transaction<'_>,
    id: i64,
    model: &VectorModel,
    chunks: &[StoredChunk],
) -> rusqlite::Result<()> {
    let changed = transaction.execute(
        "UPDATE documents SET model = ?2, weights_bytes = ?3, dimensions = ?4 WHERE id = ?1",
        params![id, model.name, model.weights_bytes.cast_signed(), model.dimensions],
    )?;
    if changed == 0 {
        return Ok(());
    }
    transaction.execute("DELETE FROM chunks WHERE document_id = ?1", [id])?;
    insert_chunks(transaction, id, chunks)
}

fn insert_chunks(transaction: &Transaction<'_>, id: i64, chunks: &[StoredChunk]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(
        "INSERT INTO chunks (document_id, heading, start_character, end_character, text, vector)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for chunk in chunks {
        let vector: Vec<u8> = chunk.vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        let PassageRange { start, end } = chunk.characters;
        statement.execute(params![id, chunk.heading, start, end, chunk.text, vector])?;
    }
    Ok(())
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let kind: String = row.get(2)?;
    let kind = [DocumentKind::Markdown, DocumentKind::Pdf].into_iter().find(|known| kind_name(*known) == kind);
    Ok(Document {
        id: row.get(0)?,
        name: row.get(1)?,
        kind: kind.unwrap_or(DocumentKind::Text),
        characters: count(row, 3)?,
        added_at: row.get(4)?,
        model: row.get(5)?,
        dimensions: count(row, 6)?,
        chunks: count(row, 7)?,
    })
}

/// A number of things; one that a damaged file makes negative is none.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

#[allow(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn refused(file: &str, error: rusqlite::Error) -> DocumentError {
    fault_of(file, error)
}

fn fault_of(file: &str, reason: impl ToString) -> DocumentError {
    DocumentError::Database { file: file.to_owned(), reason: reason.to_string() }
}
