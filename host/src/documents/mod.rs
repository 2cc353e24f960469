//! Search in documents by meaning: their text in chunks, a vector for each, and exact cosines over all of them.
//!
//! [`Library`] is one database file. What turns texts into vectors is an [`Encoder`]: an engine of its own with an
//! embedding model, so that a chat goes on undisturbed.

mod chunks;
mod encoder;
mod error;
mod library;
mod pdf;
mod refresh;
mod source;
mod store;

pub use chunks::{Chunk, chunks};
pub use encoder::{EmbedProgress, Encoder};
pub use error::{DocumentError, Result};
pub use hearth_engine::protocol::{AddedDocument, Document, DocumentKind, Passage, PassageRange};
pub use library::{Library, RESULTS_MAX};
pub use source::{FILE_BYTES_MAX, Section, Source, TEXT_BYTES_MAX, kind_of};
