//! What can go wrong with a download, and what can be done about it.

use hearth_engine::protocol::{Failure, FailureCode};

use crate::store::StoreError;

/// The result of a download.
pub type Result<T> = std::result::Result<T, DownloadError>;

/// Every way in which a download is refused or fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// What was asked for is no repository, address or name.
    #[error("{what:?} cannot be fetched: {reason}")]
    BadSource {
        /// As it was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no model among the files.
    #[error("{what} holds no model that can be used: {reason}")]
    NoModel {
        /// As it was asked for.
        what: String,
        /// What is missing.
        reason: String,
    },
    /// Several models, of which one has to be chosen.
    #[error("{what} holds several models: {models}")]
    Several {
        /// As it was asked for.
        what: String,
        /// Their files.
        models: String,
    },
    /// The list of files made no sense.
    #[error("the list of files at {url} cannot be read: {reason}")]
    BadListing {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever answers wants to know who asks.
    #[error("{url} asks for a token")]
    Unauthorized {
        /// What was asked for.
        url: String,
    },
    /// Whoever answers refuses.
    #[error("{url} is refused")]
    Forbidden {
        /// What was asked for.
        url: String,
    },
    /// There is no such file.
    #[error("{url} does not exist")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// Another answer that asking again would not change.
    #[error("{url} is answered with status {status}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The answer.
        status: u16,
    },
    /// Asking again did not help.
    #[error("{file} did not arrive after {attempts} attempts in a row: {reason}")]
    GaveUp {
        /// The file.
        file: String,
        /// What went wrong at last.
        reason: String,
        /// How many attempts there were.
        attempts: u32,
    },
    /// Whoever answers wants to be left alone for long.
    #[error("{url} asks to wait {wait_s} seconds")]
    TooBusy {
        /// What was asked for.
        url: String,
        /// How long.
        wait_s: u64,
    },
    /// It never stayed the same for long enough.
    #[error("{file} changed again and again while it came: {reason}")]
    KeepsChanging {
        /// The file.
        file: String,
        /// What was noticed at last.
        reason: String,
    },
    /// All of it came, and it is something else.
    #[error("{file} arrived with the hash {found}, but {expected} was promised")]
    WrongHash {
        /// The file.
        file: String,
        /// What was promised.
        expected: String,
        /// What the bytes have.
        found: String,
    },
    /// Nobody tells the file's hash.
    #[error("nobody tells the hash of {file}, so that it cannot be checked")]
    NoHash {
        /// The file.
        file: String,
    },
    /// Nobody tells how long the file is.
    #[error("{url} does not say how long it is")]
    NoLength {
        /// What was asked for.
        url: String,
    },
    /// The store does not know where the file came from.
    #[error("{file} is damaged, and the store does not know where to fetch it")]
    NoOrigin {
        /// The file.
        file: String,
    },
    /// The network cannot be used at all.
    #[error("the network cannot be used: {reason}")]
    Network {
        /// What is wrong.
        reason: String,
    },
    /// The person stopped it.
    #[error("stopped on request; what is there is kept")]
    Cancelled,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DownloadError {
    /// The code under which this crosses a boundary.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::BadSource { .. } | Self::Several { .. } | Self::NoHash { .. } => FailureCode::InvalidRequest,
            Self::NoModel { .. } | Self::NotFound { .. } | Self::NoOrigin { .. } => FailureCode::MissingFile,
            Self::BadListing { .. } | Self::WrongHash { .. } | Self::NoLength { .. } => FailureCode::Malformed,
            Self::Unauthorized { .. } | Self::Forbidden { .. } => FailureCode::NotAllowed,
            Self::Refused { .. }
            | Self::GaveUp { .. }
            | Self::TooBusy { .. }
            | Self::KeepsChanging { .. }
            | Self::Network { .. } => FailureCode::Link,
            Self::Cancelled => FailureCode::Cancelled,
            Self::Store(error) => error.code(),
        }
    }

    /// What the person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::BadSource { .. } => "Give owner/repo, owner/repo@revision:file, an address, or a name of the list.",
            Self::NoModel { .. } => "Look for the same model as safetensors or GGUF.",
            Self::Several { .. } => "Name one: owner/repo:file, or owner/repo:Q4_K_M if that fits one alone.",
            Self::BadListing { .. } => "Check --base-url; it has to answer in the Hub's layout.",
            Self::Unauthorized { .. } => {
                "Check the name. If the model is private or gated, put a token of yours into HF_TOKEN."
            }
            Self::Forbidden { .. } => {
                "Accept the model's terms on its page with the account whose token is in HF_TOKEN, then try again."
            }
            Self::NotFound { .. } => "Check the name, the revision and the file.",
            Self::Refused { .. } | Self::Network { .. } => "Check the address, the proxy and the connection.",
            Self::GaveUp { .. } => {
                "Check the address, the proxy and the connection, then give the same command again to go on; what is \
                 here is not fetched twice."
            }
            Self::KeepsChanging { .. } | Self::Cancelled => {
                "Give the same command again to go on; what is here is not fetched twice."
            }
            Self::TooBusy { .. } => "Give the same command again after that time; what is here is not fetched twice.",
            Self::WrongHash { .. } => "Nothing of it was kept. Try again, or another --mirror, or tell the publisher.",
            Self::NoHash { .. } => {
                "Name it with --sha256, lay it beside the file as FILE.sha256, or trust the connection with --unverified."
            }
            Self::NoLength { .. } => {
                "Fetch it from another place, or with another program, and `hearth models import` it."
            }
            Self::NoOrigin { .. } => "Import it again, or remove it with `hearth models remove NAME`.",
            Self::Store(error) => error.hint(),
        }
    }
}

impl From<&DownloadError> for Failure {
    fn from(error: &DownloadError) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint().to_owned() }
    }
}
