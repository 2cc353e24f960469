//! Models over the network, into the [`BlobStore`]: in parallel ranges, each chunk journalled as soon as it is on the
//! disk, so that whatever interrupts a download costs at most one chunk a connection; and nothing counts as complete
//! before the hash of all of it is checked. `docs/store.md` says what is kept in between.

mod choose;
mod control;
mod error;
mod fetch;
mod journal;
mod network;
mod pace;
mod partial;
mod plan;
mod pull;
mod source;
mod transfer;

pub use control::Control;
pub use error::{DownloadError, Result};
pub use network::Token;
pub use pace::Pace;
pub use pull::{pull, repair};
pub use source::Source;

use serde::Serialize;

use crate::store::{BlobId, CHUNK_BYTES};

/// Where models come from if nobody says otherwise.
pub const HUB: &str = "https://huggingface.co";

/// How a download is done.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// What answers in the Hub's layout.
    pub base_url: String,
    /// Others that have the same in the same layout, tried in turn when one fails.
    pub mirrors: Vec<String>,
    /// What proves to `base_url`, and to nobody else, who asks.
    pub token: Option<Token>,
    /// How many requests run at once.
    pub connections: usize,
    /// How long a chunk is.
    pub chunk_bytes: u32,
    /// How much one request asks for.
    pub request_bytes: u64,
    /// The most that arrives in a second.
    pub limit_bytes_per_s: Option<u64>,
    /// How long is waited for what.
    pub pace: Pace,
    /// The model's name in the store, if not its own.
    pub name: Option<String>,
    /// The hash of the one file that is fetched.
    pub sha256: Option<BlobId>,
    /// Whether files are taken whose hash nobody tells.
    pub allows_unverified: bool,
    /// Whether models that are not pinned go to make room.
    pub makes_room: bool,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            base_url: HUB.to_owned(),
            mirrors: Vec::new(),
            token: None,
            connections: 8,
            chunk_bytes: CHUNK_BYTES,
            request_bytes: 64 << 20,
            limit_bytes_per_s: None,
            pace: Pace::default(),
            name: None,
            sha256: None,
            allows_unverified: false,
            makes_room: false,
        }
    }
}

/// What happens while a model comes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PullEvent {
    /// It is known what is needed.
    Planned {
        /// How many files.
        files: usize,
        /// How long they are together, as far as is known.
        total_bytes: u64,
        /// How much of that is here already.
        held_bytes: u64,
    },
    /// Some more is here.
    Progress {
        /// The file that comes.
        file: String,
        /// How much of everything is here.
        done_bytes: u64,
        /// How much there is.
        total_bytes: u64,
        /// How fast it comes.
        bytes_per_s: f64,
        /// How long the rest takes at this rate.
        left_s: Option<f64>,
    },
    /// A file is complete and checked.
    Checked {
        /// The file.
        file: String,
        /// The hash of its bytes.
        sha256: BlobId,
    },
    /// Something went wrong, and is tried again.
    Retry {
        /// The file.
        file: String,
        /// What went wrong.
        reason: String,
        /// How long is waited first.
        wait_s: f64,
    },
    /// What was there of a file is of no use.
    Anew {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// Another process fetches the same file.
    Waiting {
        /// The file.
        file: String,
    },
    /// Models went to make room.
    MadeRoom {
        /// Their names.
        models: Vec<String>,
    },
}
