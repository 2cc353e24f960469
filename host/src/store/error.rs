//! What can go wrong with the store, and what can be done about it.

use std::{io, path::Path};

use hearth_engine::{
    error::human_bytes,
    protocol::{Failure, FailureCode},
};

use super::BlobId;

/// The result of work on the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Every way in which the store refuses or fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The index is no database any more, or never was Hearth's.
    #[error("the index {file} is damaged: {reason}")]
    IndexDamaged {
        /// The index.
        file: String,
        /// What SQLite said.
        reason: String,
    },
    /// A later version of Hearth wrote it.
    #[error("the index {file} has version {found}, but this Hearth knows versions up to {known}")]
    IndexNewer {
        /// The index.
        file: String,
        /// The version it has.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
    /// SQLite refused for another reason.
    #[error("the index {file} cannot be used: {reason}")]
    Index {
        /// The index.
        file: String,
        /// What SQLite said.
        reason: String,
    },
    /// Another process holds it.
    #[error("another process is working on {what}")]
    Busy {
        /// What is held.
        what: String,
    },
    /// It may be read, but not changed.
    #[error("the store {folder} may only be read")]
    ReadOnly {
        /// The store's folder.
        folder: String,
    },
    /// The disk, or what the process may write of it, is used up.
    #[error("there is no room for {file}: {reason}")]
    DiskFull {
        /// The file that was being written.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// There is less room than the files need.
    #[error("{} are needed in {folder}, but {} are free", human_bytes(*.needed_bytes), human_bytes(*.free_bytes))]
    NoSpace {
        /// The store's folder.
        folder: String,
        /// What is needed.
        needed_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// The store would grow past what it is allowed.
    #[error(
        "{} more would take the store to {}, past its quota of {}",
        human_bytes(*.new_bytes), human_bytes(.used_bytes.saturating_add(*.new_bytes)), human_bytes(*.quota_bytes)
    )]
    OverQuota {
        /// What shall be added.
        new_bytes: u64,
        /// What there is.
        used_bytes: u64,
        /// What is allowed.
        quota_bytes: u64,
    },
    /// No model of that name lies in the store.
    #[error("no model {name:?} lies in the store; it holds: {held}")]
    UnknownModel {
        /// As it was asked for.
        name: String,
        /// The names that there are.
        held: String,
    },
    /// A model that was found damaged, or of which a file is gone.
    #[error("the files of {name} are damaged")]
    NotWhole {
        /// The model.
        name: String,
    },
    /// A file that a model needs is not there.
    #[error("{file} is not in the store")]
    MissingBlob {
        /// The file.
        file: String,
    },
    /// Bytes that are not those of their name.
    #[error("{file} has the SHA-256 {found} in place of {expected}")]
    WrongHash {
        /// The file.
        file: String,
        /// What was promised.
        expected: BlobId,
        /// What the bytes have.
        found: BlobId,
    },
    /// A name that could lead out of the model's folder.
    #[error("{file:?} cannot be the name of a model's file")]
    BadName {
        /// The name.
        file: String,
    },
    /// The system refused.
    #[error("{file}: {reason}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// The person stopped it.
    #[error("stopped on request")]
    Cancelled,
}

impl StoreError {
    /// What the system said about a file.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let (file, reason) = (path.display().to_string(), error.to_string());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { file, reason }
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { folder: file },
            _ => Self::Io { file, reason },
        }
    }

    pub(super) fn read_only(root: &Path) -> Self {
        Self::ReadOnly { folder: root.display().to_string() }
    }

    /// What SQLite said about the index.
    #[allow(clippy::needless_pass_by_value, reason = "what map_err gives")]
    pub(super) fn index(file: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let (name, reason) = (file.display().to_string(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::IndexDamaged { file: name, reason },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { what: name },
            Some(ErrorCode::DiskFull) => Self::DiskFull { file: name, reason },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { folder: file.parent().unwrap_or(file).display().to_string() },
            _ => Self::Index { file: name, reason },
        }
    }

    /// The code under which this crosses a boundary.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::IndexDamaged { .. } | Self::IndexNewer { .. } | Self::NotWhole { .. } | Self::WrongHash { .. } => {
                FailureCode::Malformed
            }
            Self::Busy { .. } => FailureCode::Busy,
            Self::ReadOnly { .. } => FailureCode::NotAllowed,
            Self::UnknownModel { .. } => FailureCode::UnknownModel,
            Self::MissingBlob { .. } => FailureCode::MissingFile,
            Self::OverQuota { .. } | Self::BadName { .. } => FailureCode::InvalidRequest,
            Self::Index { .. } | Self::DiskFull { .. } | Self::NoSpace { .. } | Self::Io { .. } => FailureCode::Io,
            Self::Cancelled => FailureCode::Cancelled,
        }
    }

    /// What the person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::IndexDamaged { .. } => {
                "`hearth models rebuild` makes the index anew from the files, which are all still there."
            }
            Self::IndexNewer { .. } => "Update Hearth, or let HEARTH_STORE name another folder.",
            Self::Index { .. } | Self::Io { .. } => "Check the path, the disk and the permissions, then try again.",
            Self::Busy { .. } => "Wait for it to end, then try again.",
            Self::ReadOnly { .. } => {
                "Models in it can be used as they are; to change it, make its folder writable, or let HEARTH_STORE name \
                 another."
            }
            Self::DiskFull { .. } | Self::NoSpace { .. } => {
                "Nothing is lost: make room, for example with `hearth models remove NAME` and `hearth models gc`, and \
                 give the same command again."
            }
            Self::OverQuota { .. } => {
                "Remove a model with `hearth models remove NAME`, let --make-room remove those that were not used for \
                 longest, or raise the quota with `hearth models quota SIZE`."
            }
            Self::UnknownModel { .. } => "Give a name that `hearth models` shows.",
            Self::MissingBlob { .. } | Self::NotWhole { .. } | Self::WrongHash { .. } => {
                "`hearth models repair NAME` fetches what is damaged or missing again."
            }
            Self::BadName { .. } => "Fetch the model from another publisher; a model's files have plain names.",
            Self::Cancelled => "Nothing is lost; give the same command again to go on.",
        }
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint().to_owned() }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::io(Path::new("a file that is being read"), &error)
    }
}
