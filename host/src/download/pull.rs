//! A whole model: planned, fetched file by file, and put on the list; and a damaged one mended.

use std::{cell::RefCell, collections::BTreeSet, fs, future::Future, io, path::Path, time::Instant};

use reqwest::Url;

use super::{
    Control, DownloadError, PullEvent, PullOptions, Result, Source,
    fetch::{Fetched, Job, fetch_file, known_blob, lock},
    network::Fault,
    pace::Meter,
    partial::Partial,
    plan::{Plan, own, plan},
    transfer::{Sink, fill},
};
use crate::store::{BlobId, BlobStore, ChunkTable, FileState, Held, ModelFile, NewModel, StoreError, StoredModel};

/// Fetches a model into the store, or goes on where an earlier attempt ended, and puts it on the list.
pub fn pull(
    store: &BlobStore,
    source: &Source,
    options: &PullOptions,
    control: &Control,
    tell: &dyn Fn(PullEvent),
) -> Result<StoredModel> {
    store.require_writable()?;
    let job = Job::new(options, control, tell)?;
    run(control, fetch(&job, store, source))
}

/// Fetches again what is damaged or missing of a model, and nothing else. Returns how many bytes that was.
pub fn repair(
    store: &BlobStore,
    name: &str,
    options: &PullOptions,
    control: &Control,
    tell: &dyn Fn(PullEvent),
) -> Result<u64> {
    store.require_writable()?;
    let job = Job::new(options, control, tell)?;
    run(control, mend(&job, store, name))
}

fn run<T>(control: &Control, work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| DownloadError::Network { reason: error.to_string() })?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = control.cancelled() => Err(DownloadError::Cancelled),
            done = work => done,
        }
    })
}

async fn fetch(job: &Job<'_>, store: &BlobStore, source: &Source) -> Result<StoredModel> {
    let Plan { name, revision, mut files } = plan(job, source).await?;
    let folder = store.partial_folder();
    fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, &error))?;
    // While this is held, nobody takes away what is unfinished.
    let _downloading = lock(job, &folder.join(".lock"), true, "the store").await?;
    let (mut total_bytes, mut held_bytes) = (0_u64, 0_u64);
    for file in &mut files {
        file.before = store.blob_of(&source.id(), &file.path)?;
        total_bytes = total_bytes.saturating_add(file.bytes);
        let is_held = match known_blob(store, file)? {
            Some(blob) => store.holds(&blob)? == Held::Whole,
            None => false,
        };
        let bytes = if is_held { file.bytes } else { Partial::peek_bytes(&folder, &file.key()) };
        held_bytes = held_bytes.saturating_add(bytes.min(file.bytes));
    }
    let needed_bytes = total_bytes.saturating_sub(held_bytes);
    if job.options.makes_room {
        let freed = store.make_room(needed_bytes)?;
        if !freed.models.is_empty() {
            (job.tell)(PullEvent::MadeRoom { models: freed.models });
        }
    } else {
        store.require_room(needed_bytes)?;
    }
    job.total_bytes.set(total_bytes);
    // What it took to find that out says nothing about what comes.
    job.meter.replace(Meter::new(Instant::now()));
    (job.tell)(PullEvent::Planned { files: files.len(), total_bytes, held_bytes });
    let mut taken = Vec::new();
    for file in &mut files {
        job.file.replace(file.path.clone());
        let key_lock = lock(job, &folder.join(format!("{}.lock", file.key())), false, &file.path).await?;
        // Another process may have got that far while this one waited.
        file.before = store.blob_of(&source.id(), &file.path)?;
        let done_before = job.done_bytes.get();
        let sha256 = match fetch_file(job, store, file).await? {
            Fetched::Placed(blob) => blob,
            Fetched::New(staged) => {
                store.place(&staged)?;
                staged.blob
            }
        };
        drop(key_lock);
        job.done_bytes.set(done_before.saturating_add(file.bytes));
        (job.tell)(PullEvent::Checked { file: file.path.clone(), sha256 });
        let urls = file.urls.iter().map(Url::to_string).collect();
        taken.push(ModelFile { path: file.path.clone(), bytes: file.bytes, sha256, urls });
    }
    let (is_named, name) = (job.options.name.is_some(), job.options.name.clone().unwrap_or(name));
    let model = store.commit(&NewModel { name, is_named, source: source.id(), revision, files: taken })?;
    for file in &files {
        forget(&folder, &file.key())?;
    }
    Ok(model)
}

/// Removes the journal of a file that a model has by now, unless another process is at that file. Until here it told
/// which blob the file became, where the list does not.
fn forget(folder: &Path, key: &str) -> Result<()> {
    let path = folder.join(format!("{key}.lock"));
    let lock = fs::File::options().write(true).open(&path);
    if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
        for ending in ["part", "journal"] {
            let path = folder.join(format!("{key}.{ending}"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(&path, &error).into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

async fn mend(job: &Job<'_>, store: &BlobStore, name: &str) -> Result<u64> {
    let model = store.model(name)?;
    let checks = store.verify(name, &mut |_| {
        if job.control.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
    })?;
    let mut mended_bytes = 0_u64;
    for (file, check) in model.manifest.files.iter().zip(checks) {
        match check.state {
            FileState::Whole => continue,
            FileState::Unlinked => {
                store.show_again(&file.sha256)?;
                continue;
            }
            FileState::Missing | FileState::Damaged { .. } => {}
        }
        let urls: Vec<Url> = file.urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
        if urls.is_empty() {
            return Err(DownloadError::NoOrigin { file: file.path.clone() });
        }
        job.file.replace(file.path.clone());
        let needed = store.begin_repair(&file.sha256)?;
        let needed_bytes: u64 = needed.iter().map(|(_, _, bytes)| u64::from(*bytes)).sum();
        job.total_bytes.set(job.total_bytes.get().saturating_add(needed_bytes));
        let (bytes, table) = store.chunk_table(&file.sha256)?;
        let missing = RefCell::new(needed.into_iter().map(|(index, ..)| index).collect());
        let sink = Mending { store, blob: file.sha256, bytes, table, missing };
        fill(job, &sink, &urls, &file.path).await.map_err(|fault| own(fault, &file.path))?;
        store.end_repair(&file.sha256)?;
        mended_bytes = mended_bytes.saturating_add(needed_bytes);
        (job.tell)(PullEvent::Checked { file: file.path.clone(), sha256: file.sha256 });
    }
    Ok(mended_bytes)
}

/// A damaged blob, whose other chunks are sound.
struct Mending<'a> {
    store: &'a BlobStore,
    blob: BlobId,
    bytes: u64,
    table: ChunkTable,
    missing: RefCell<BTreeSet<u64>>,
}

impl Sink for Mending<'_> {
    fn lengths(&self) -> (u64, u32) {
        (self.bytes, self.table.chunk_bytes)
    }

    fn held(&self, index: u64) -> Option<[u8; 32]> {
        if self.missing.borrow().contains(&index) {
            return None;
        }
        self.table.hashes.get(usize::try_from(index).ok()?).copied()
    }

    fn fits_tag(&self, _tag: [u8; 32]) -> Result<bool> {
        // The hash of each chunk is known.
        Ok(true)
    }

    fn put(&self, index: u64, bytes: &[u8]) -> std::result::Result<(), Fault> {
        match self.store.mend(&self.blob, index, bytes) {
            Ok(()) => {
                self.missing.borrow_mut().remove(&index);
                Ok(())
            }
            // It may have been spoilt on its way.
            Err(StoreError::WrongHash { .. }) => Err(Fault::passing("the bytes are not those of the damaged chunk")),
            Err(error) => Err(Fault::Own(error.into())),
        }
    }
}
