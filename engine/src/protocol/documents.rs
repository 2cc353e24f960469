//! Search in documents of a person's own. Only a host with a disk answers these; an engine in a page refuses them.

use serde::{Deserialize, Serialize};

/// A document to take in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct AddDocument {
    /// What is taken in.
    pub content: DocumentContent,
    /// The embedding model, by its name. None: the one that `documents` names.
    #[serde(default)]
    pub model: Option<String>,
}

/// A document's bytes, or where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum DocumentContent {
    /// A file on the host's own disk; only where the host allows it.
    Path {
        /// Where it is.
        path: String,
    },
    /// A text.
    Text {
        /// Its name, whose ending says what it is written in.
        name: String,
        /// The text.
        text: String,
    },
    /// The bytes of a file.
    Bytes {
        /// The file's name.
        name: String,
        /// The bytes in Base64 (RFC 4648, section 4).
        base64: String,
    },
}

/// A question to the documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct SearchDocuments {
    /// What is asked.
    pub question: String,
    /// How many passages, from 1 to 100.
    pub results: u32,
    /// The embedding model, by its name. None: the one that `documents` names.
    #[serde(default)]
    pub model: Option<String>,
}

/// The documents there are, and what can be done with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct DocumentList {
    /// In the order in which they were added.
    pub documents: Vec<Document>,
    /// The embedding models among those that can be asked for by name.
    pub models: Vec<String>,
    /// The one that is taken when none is named: that of the newest document, or else the first. None: there is none.
    pub model: Option<String>,
    /// Whether documents may be added by their path.
    pub allows_paths: bool,
    /// The most bytes that a request may carry; a path may lead to more.
    pub content_bytes_max: u32,
}

/// A document that can be searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Document {
    /// Its number, which is never given again.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is written in.
    pub kind: DocumentKind,
    /// Characters of its text.
    pub characters: u32,
    /// How many passages it was cut into.
    pub chunks: u32,
    /// When it was added, in UTC (RFC 3339).
    pub added_at: String,
    /// The model that made its vectors.
    pub model: String,
    /// Length of each vector.
    pub dimensions: u32,
}

/// What a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum DocumentKind {
    /// Plain text.
    Text,
    /// Markdown, whose headings are read.
    Markdown,
    /// PDF, whose pages are its sections.
    Pdf,
}

/// How far an addition or a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct DocumentProgress {
    /// What is being done.
    pub stage: DocumentStage,
    /// Passages that have a vector.
    pub done_chunks: u32,
    /// All of the document's; 0 while that is not known.
    pub total_chunks: u32,
}

/// A step of an addition or a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum DocumentStage {
    /// The document's text is read.
    Reading,
    /// The embedding model is loaded.
    LoadingModel,
    /// Passages, or the question, get their vectors.
    Embedding,
}

/// What became of an addition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct AddedDocument {
    /// False if the same bytes were there already, with vectors of the same model.
    pub is_new: bool,
    /// The document as it is now.
    pub document: Document,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct FoundPassages {
    /// The nearest first.
    pub passages: Vec<Passage>,
    /// The model that compared them.
    pub model: String,
    /// From the request on, its model's loading included.
    pub elapsed_ms: f64,
}

/// A part of a document that a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Passage {
    /// The cosine of its vector and the question's.
    pub score: f64,
    /// The document's number.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub document_id: i64,
    /// The document's name.
    pub document: String,
    /// The headings that lead to it, or its page; empty if there are none.
    pub heading: String,
    /// Where it is.
    pub characters: PassageRange,
    /// Its text.
    pub text: String,
}

/// Where a passage is, in characters of its document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PassageRange {
    /// Of the first.
    pub start: u32,
    /// Behind the last.
    pub end: u32,
}
