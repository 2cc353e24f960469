//! Pause and cancel, from another thread.

use std::sync::Arc;

use tokio::sync::watch;

use super::{DownloadError, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Run,
    Pause,
    Cancel,
}

/// What a person wants of a download. Clones speak of the same one.
#[derive(Clone, Debug)]
pub struct Control(Arc<watch::Sender<Wanted>>);

impl Default for Control {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Wanted::Run)))
    }
}

impl Control {
    /// Ends the download. What is there stays for the next one.
    pub fn cancel(&self) {
        self.0.send_replace(Wanted::Cancel);
    }

    /// Lets what is being asked for arrive, and asks for no more; or goes on. What is cancelled stays so.
    pub fn pause(&self, is_paused: bool) {
        self.0.send_if_modified(|wanted| {
            let new = if is_paused { Wanted::Pause } else { Wanted::Run };
            let changes = *wanted != Wanted::Cancel && *wanted != new;
            if changes {
                *wanted = new;
            }
            changes
        });
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow() == Wanted::Cancel
    }

    /// Waits as long as it is paused.
    pub(super) async fn go_on(&self) -> Result<()> {
        let mut wanted = self.0.subscribe();
        // The sender lives in `self`.
        let now = wanted.wait_for(|wanted| *wanted != Wanted::Pause).await;
        if now.is_ok_and(|wanted| *wanted == Wanted::Run) { Ok(()) } else { Err(DownloadError::Cancelled) }
    }

    /// Waits until it is cancelled.
    pub(super) async fn cancelled(&self) {
        let _ = self.0.subscribe().wait_for(|wanted| *wanted == Wanted::Cancel).await;
    }
}
