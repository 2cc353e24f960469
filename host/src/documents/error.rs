//! What can go wrong with documents, and what can be done about it.

use hearth_engine::protocol::{Failure, FailureCode};

/// The result of work on documents.
pub type Result<T> = std::result::Result<T, DocumentError>;

/// Every way in which documents are refused or fail.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing turns texts into vectors.
    #[error("no embedding model is chosen")]
    NoEmbeddingModel,
    /// The stored vectors cannot be compared with those of the chosen model.
    #[error("{documents} of the documents have vectors of {stored}, but {chosen} is chosen")]
    OtherModel {
        /// How many documents.
        documents: u64,
        /// The model that they were added with.
        stored: String,
        /// The model that is chosen now.
        chosen: String,
    },
    /// A text file in another encoding, or no text at all.
    #[error("{name} is not text in UTF-8: byte {byte} breaks the rules")]
    NotUtf8 {
        /// The document.
        name: String,
        /// The first byte that does not belong, from 0 on.
        byte: usize,
    },
    /// More than is taken in.
    #[error("{name} has {what} of at least {found}, but at most {most} are taken in")]
    TooLarge {
        /// The document.
        name: String,
        /// What there is too much of, with its unit.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is allowed.
        most: u64,
    },
    /// There is no text in it.
    #[error("{name} holds no text")]
    Empty {
        /// The document.
        name: String,
    },
    /// A PDF that cannot be read.
    #[error("{name} cannot be read as PDF: {reason}")]
    BadPdf {
        /// The document.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model makes room for too few tokens to cut a text into.
    #[error("{model} reads {tokens_max} tokens at once, which is too few for a passage")]
    ModelTooShort {
        /// The model.
        model: String,
        /// Its tokens.
        tokens_max: usize,
    },
    /// No document of that number or name, or several of that name.
    #[error("{count} documents are called {wanted:?}")]
    NotOne {
        /// As the person named it.
        wanted: String,
        /// How many there are.
        count: usize,
    },
    /// A question without words, or for an impossible number of results.
    #[error("the search is not usable: {reason}")]
    BadSearch {
        /// What is wrong with it.
        reason: String,
    },
    /// The database refused.
    #[error("the database {file} cannot be used: {reason}")]
    Database {
        /// The file's name.
        file: String,
        /// What it said.
        reason: String,
    },
    /// The system refused to read or write a file.
    #[error("reading {file} failed: {reason}")]
    Io {
        /// The file's name.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// A path from somebody who may not name any.
    #[error("adding a document by its path is not allowed here")]
    PathNotAllowed,
    /// Bytes that did not arrive as they were sent.
    #[error("{name} is not in Base64: {reason}")]
    BadBase64 {
        /// The document.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The person stopped it.
    #[error("stopped on request; nothing was added")]
    Cancelled,
    /// The engine failed.
    #[error("{}", .0.message)]
    Engine(Failure),
}

impl DocumentError {
    /// The code under which this crosses a boundary.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::NoEmbeddingModel => FailureCode::NotLoaded,
            Self::OtherModel { .. } | Self::TooLarge { .. } | Self::NotOne { .. } | Self::BadSearch { .. } => {
                FailureCode::InvalidRequest
            }
            Self::NotUtf8 { .. } | Self::Empty { .. } | Self::BadPdf { .. } => FailureCode::Malformed,
            Self::ModelTooShort { .. } => FailureCode::BadConfig,
            Self::BadBase64 { .. } => FailureCode::InvalidRequest,
            Self::PathNotAllowed => FailureCode::NotAllowed,
            Self::Database { .. } | Self::Io { .. } => FailureCode::Io,
            Self::Cancelled => FailureCode::Cancelled,
            Self::Engine(failure) => failure.code,
        }
    }

    /// What the person can do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::NoEmbeddingModel => {
                "Put an embedding model on the list, with `hearth models add FOLDER` or in the app, or name one with \
                 --model: all-MiniLM-L6-v2, bge, e5, gte or Qwen3-Embedding."
            }
            Self::OtherModel { .. } => {
                "Give them vectors of the chosen model, in the window or with `hearth documents refresh --model NAME`, or \
                 choose the model that they were added with."
            }
            Self::NotUtf8 { .. } => "Save the file as text in UTF-8, Markdown or PDF, and add it again.",
            Self::TooLarge { .. } => {
                "Split the document and add its parts; a file that is too large to send may still be added by its path, or with `hearth documents add`."
            }
            Self::Empty { .. } => {
                "Check the file. A PDF of scanned pages holds pictures: let a program for text recognition read it first."
            }
            Self::BadPdf { .. } => "Open it in a PDF reader and save it anew, without a password, or add its text.",
            Self::ModelTooShort { .. } => "Choose a model that reads more, or a larger --context.",
            Self::NotOne { .. } => "Give the number that `hearth documents list` shows.",
            Self::BadSearch { .. } => "Ask in words, for 1 to 100 passages.",
            Self::Database { .. } => {
                "Check the permissions and the space on the disk; if the file is not Hearth's, name another with --database."
            }
            Self::Io { .. } => "Check the path and the permissions, then try again.",
            Self::PathNotAllowed => "Choose the file itself, or add it with `hearth documents add` where it lies.",
            Self::BadBase64 { .. } => "Send the bytes in Base64 with its padding (RFC 4648, section 4).",
            Self::Cancelled => "Add it again when you like.",
            Self::Engine(failure) => &failure.hint,
        }
    }
}

impl From<Failure> for DocumentError {
    fn from(failure: Failure) -> Self {
        match failure.code {
            FailureCode::Cancelled => Self::Cancelled,
            FailureCode::NotLoaded => Self::NoEmbeddingModel,
            _ => Self::Engine(failure),
        }
    }
}

impl From<&DocumentError> for Failure {
    fn from(error: &DocumentError) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint().to_owned() }
    }
}
