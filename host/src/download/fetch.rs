//! One file: from what an earlier attempt left of it to all its bytes, checked.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::Url;

use super::{
    Control, DownloadError, PullEvent, PullOptions, Result,
    journal::Head,
    network::{Fault, Network},
    pace::{Limiter, Meter},
    partial::{Check, Checked, Partial, git_id},
    plan::{RemoteFile, look, own},
    transfer::{Sink, fill},
};
use crate::store::{BlobId, BlobStore, Held, Staged, StoreError};

/// How often a file may begin anew.
const ANEW_MAX: u32 = 3;

/// Shorter chunks of a long file would be more than the journal can number.
const CHUNK_BYTES_MIN: u32 = 1024;

/// How often a lock that another process holds is tried.
const LOCK_EVERY: Duration = Duration::from_millis(200);

/// Everything that one download needs on its way.
pub(super) struct Job<'a> {
    pub options: &'a PullOptions,
    pub control: &'a Control,
    pub tell: &'a dyn Fn(PullEvent),
    pub network: Network,
    pub limiter: Limiter,
    pub meter: RefCell<Meter>,
    pub done_bytes: Cell<u64>,
    pub total_bytes: Cell<u64>,
    pub file: RefCell<String>,
}

impl<'a> Job<'a> {
    pub(super) fn new(options: &'a PullOptions, control: &'a Control, tell: &'a dyn Fn(PullEvent)) -> Result<Self> {
        Ok(Self {
            options,
            control,
            tell,
            network: Network::new(options)?,
            limiter: Limiter::new(options.limit_bytes_per_s),
            meter: RefCell::new(Meter::new(Instant::now())),
            done_bytes: Cell::new(0),
            total_bytes: Cell::new(0),
            file: RefCell::default(),
        })
    }

    /// An address at the Hub and at each of its mirrors.
    pub(super) fn at_bases(&self, path: &str) -> Result<Vec<Url>> {
        let join = |base: &String| {
            let text = format!("{}/{path}", base.trim_end_matches('/'));
            let bad = |reason: String| DownloadError::BadSource { what: base.clone(), reason };
            let url = Url::parse(&text).map_err(|error| bad(error.to_string()))?;
            if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(bad("it is not https://".to_owned())) }
        };
        std::iter::once(&self.options.base_url).chain(&self.options.mirrors).map(join).collect()
    }

    /// Counts what arrived, and tells it now and then.
    pub(super) fn count(&self, bytes: usize) {
        self.done_bytes.set(self.done_bytes.get().saturating_add(bytes as u64));
        let mut meter = self.meter.borrow_mut();
        if meter.add(bytes, Instant::now()) {
            let (done_bytes, total_bytes) = (self.done_bytes.get(), self.total_bytes.get());
            (self.tell)(PullEvent::Progress {
                file: self.file.borrow().clone(),
                done_bytes,
                total_bytes,
                bytes_per_s: meter.bytes_per_s(),
                left_s: meter.left_s(total_bytes.saturating_sub(done_bytes)),
            });
        }
    }

    /// Takes back what was counted and then lost.
    pub(super) fn uncount(&self, bytes: u64) {
        self.done_bytes.set(self.done_bytes.get().saturating_sub(bytes));
    }
}

impl Sink for Partial {
    fn lengths(&self) -> (u64, u32) {
        (self.file_bytes(), self.chunk_bytes())
    }

    fn held(&self, index: u64) -> Option<[u8; 32]> {
        self.chunk(index)
    }

    fn fits_tag(&self, tag: [u8; 32]) -> Result<bool> {
        Self::fits_tag(self, tag)
    }

    fn put(&self, index: u64, bytes: &[u8]) -> std::result::Result<(), Fault> {
        Ok(self.write(index, bytes)?)
    }
}

/// What came of a file.
pub(super) enum Fetched {
    /// All of it, which has to take its place yet.
    New(Staged),
    /// It has its place already: an earlier attempt, or another process, got that far.
    Placed(BlobId),
}

/// Fetches what is missing of a file, and checks all of it.
pub(super) async fn fetch_file(job: &Job<'_>, store: &BlobStore, file: &mut RemoteFile) -> Result<Fetched> {
    let folder = store.partial_folder();
    let mut anew = 0;
    loop {
        let head = Head {
            chunk_bytes: job.options.chunk_bytes.max(CHUNK_BYTES_MIN),
            file_bytes: file.bytes,
            identity: file.identity.clone(),
        };
        let known = match (known_blob(store, file)?, Partial::peek_whole(&folder, &file.key(), &head)) {
            (None, checked) => checked,
            (known, _) => known,
        };
        if let Some(blob) = known
            && store.holds(&blob)? == Held::Whole
        {
            return Ok(Fetched::Placed(blob));
        }
        let (partial, reason) = Partial::open(&folder, &file.key(), head)?;
        if let Some(reason) = reason {
            (job.tell)(PullEvent::Anew { file: file.path.clone(), reason });
        }
        let begun_bytes = job.done_bytes.get();
        job.done_bytes.set(begun_bytes.saturating_add(partial.held_bytes()));
        let last = match fill(job, &partial, &file.urls, &file.path).await {
            Ok(()) => match partial.check(&file.check)? {
                Checked::Right(staged) => return Ok(Fetched::New(staged)),
                Checked::Lost => DownloadError::KeepsChanging {
                    file: file.path.clone(),
                    reason: "the disk did not keep what was written".to_owned(),
                },
                Checked::Wrong { expected, found } => {
                    partial.wipe()?;
                    DownloadError::WrongHash { file: file.path.clone(), expected, found }
                }
            },
            Err(Fault::Changed(reason)) => {
                partial.wipe()?;
                DownloadError::KeepsChanging { file: file.path.clone(), reason }
            }
            Err(fault) => return Err(own(fault, &file.path)),
        };
        job.done_bytes.set(begun_bytes);
        anew += 1;
        if anew >= ANEW_MAX {
            return Err(last);
        }
        (job.tell)(PullEvent::Anew { file: file.path.clone(), reason: last.to_string() });
        if !file.is_listed {
            look(job, file, job.options.sha256).await?;
        }
    }
}

/// The blob that a file has to be, as far as is known before any of it comes.
pub(super) fn known_blob(store: &BlobStore, file: &RemoteFile) -> Result<Option<BlobId>> {
    match (&file.check, &file.before) {
        (Check::Sha256(blob), _) => Ok(Some(*blob)),
        // Short files, as a rule: what git calls them is soon found out.
        (Check::Git(id), Some(before)) if store.holds(before)? == Held::Whole => {
            let path = store.blob_path(before);
            Ok((git_id(&path)? == *id).then_some(*before))
        }
        _ => Ok(None),
    }
}

/// Waits until this process alone works on something.
pub(super) async fn lock(job: &Job<'_>, path: &Path, is_shared: bool, words: &str) -> Result<File> {
    let failed = |error: &std::io::Error| StoreError::io(path, error);
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(|error| failed(&error))?;
    let mut has_told = false;
    loop {
        match if is_shared { file.try_lock_shared() } else { file.try_lock() } {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(&error).into()),
            Err(std::fs::TryLockError::WouldBlock) => {}
        }
        if !has_told {
            (job.tell)(PullEvent::Waiting { file: words.to_owned() });
            has_told = true;
        }
        tokio::time::sleep(LOCK_EVERY).await;
    }
}
