//! What `models` does with the store itself.

use std::{path::Path, time::Duration};

use hearth_host::store::{BlobStore, FileState, ImportMode, StoreError};
use serde_json::json;

use crate::{
    interrupt,
    output::{Output, Stop, bytes},
};

/// How long an unfinished download is kept for somebody to go on with it.
const KEEP: Duration = Duration::from_hours(7 * 24);

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cancelled => Self::Interrupted,
            error => Self::Failed((&error).into()),
        }
    }
}

/// The store that everybody on this machine uses.
pub fn open() -> Result<BlobStore, Stop> {
    Ok(BlobStore::open(folder()?)?)
}

fn folder() -> Result<std::path::PathBuf, Stop> {
    BlobStore::usual_folder()
        .ok_or_else(|| Stop::Usage("this system names no folder for the data of apps: set HEARTH_STORE".to_owned()))
}

/// Whether a model of that name lies in the store.
pub fn holds(name: &str) -> Result<bool, Stop> {
    let Some(store) = BlobStore::open_existing(folder()?)? else { return Ok(false) };
    Ok(store.models()?.iter().any(|model| model.manifest.name == name))
}

pub fn remove(name: &str, output: &Output) -> Result<(), Stop> {
    let freed = open()?.remove(name)?;
    if output.json {
        return output.json(&json!({ "type": "removed", "model": name, "bytes": freed.bytes }));
    }
    output.line(format!("{name} is deleted: {} are free again", bytes(freed.bytes)))
}

/// Shows how many bytes were read, and ends when the person wants.
fn reading<'a>(words: &'a str, output: &'a Output) -> impl FnMut(u64) -> Result<(), StoreError> + 'a {
    let mut read_bytes = 0_u64;
    move |new_bytes| {
        read_bytes = read_bytes.saturating_add(new_bytes);
        output.progress(&format!("{words}: {} read", bytes(read_bytes)));
        interrupt::check().map_err(|_| StoreError::Cancelled)
    }
}

pub fn import(path: &Path, copy: bool, name: Option<&str>, output: &Output) -> Result<(), Stop> {
    interrupt::watch_work()?;
    let mode = if copy { ImportMode::Copy } else { ImportMode::Link };
    let model = open()?.import(path, mode, name, &mut reading("importing", output))?;
    output.end_progress();
    if output.json {
        return output.json(&json!({ "type": "imported", "model": model }));
    }
    let name = &model.manifest.name;
    output.line(format!("{name} is in the store, {}: `hearth chat --model {name}` talks with it", bytes(model.bytes)))
}

pub fn verify(names: &[String], output: &Output) -> Result<(), Stop> {
    interrupt::watch_work()?;
    let store = open()?;
    store.check_index()?;
    let all = || store.models().map(|models| models.into_iter().map(|model| model.manifest.name).collect());
    let names: Vec<String> = if names.is_empty() { all()? } else { names.to_vec() };
    let mut damaged = Vec::new();
    for name in &names {
        let checks = store.verify(name, &mut reading(name, output))?;
        output.end_progress();
        let is_whole = checks.iter().all(|check| check.state == FileState::Whole);
        if output.json {
            output.json(&json!({ "type": "verified", "model": name, "is_whole": is_whole, "files": checks }))?;
        } else {
            output.line(format!("{name}: {}", if is_whole { "every byte is right" } else { "not whole" }))?;
            for check in checks.iter().filter(|check| check.state != FileState::Whole) {
                output.line(format!("  {}: {}", check.path, words(&check.state)))?;
            }
        }
        if !is_whole {
            damaged.push(name.clone());
        }
    }
    if damaged.is_empty() { Ok(()) } else { Err(StoreError::NotWhole { name: damaged.join(", ") }.into()) }
}

fn words(state: &FileState) -> String {
    match state {
        FileState::Whole => "whole".to_owned(),
        FileState::Missing => "missing".to_owned(),
        FileState::Unlinked => "whole, but gone from the model's folder".to_owned(),
        FileState::Damaged { chunks, chunk_bytes } => {
            format!("{} chunks of {} are damaged", chunks.len(), bytes(u64::from(*chunk_bytes)))
        }
    }
}

pub fn pin(name: &str, is_pinned: bool, output: &Output) -> Result<(), Stop> {
    open()?.pin(name, is_pinned)?;
    if output.json {
        return output.json(&json!({ "type": "pinned", "model": name, "is_pinned": is_pinned }));
    }
    output.line(if is_pinned {
        format!("{name} is pinned: it stays when room is made")
    } else {
        format!("{name} may go when room is made")
    })
}

pub fn collect_garbage(all: bool, output: &Output) -> Result<(), Stop> {
    let freed = open()?.collect_garbage(if all { Duration::ZERO } else { KEEP })?;
    if output.json {
        return output.json(&json!({ "type": "collected", "freed": freed }));
    }
    output.line(format!("{} files removed, {} are free again", freed.files, bytes(freed.bytes)))?;
    if freed.is_downloading {
        output.line("unfinished downloads were left alone, because one is under way")?;
    }
    Ok(())
}

pub fn show_quota(output: &Output) -> Result<(), Stop> {
    let store = open()?;
    let (used_bytes, quota_bytes) = (store.used_bytes()?, store.quota_bytes()?);
    if output.json {
        return output.json(&json!({ "type": "quota", "used_bytes": used_bytes, "quota_bytes": quota_bytes }));
    }
    output.line(match quota_bytes {
        Some(quota_bytes) => format!("{} of {} are used", bytes(used_bytes), bytes(quota_bytes)),
        None => format!("{} are used, and there is no limit", bytes(used_bytes)),
    })
}

pub fn set_quota(quota_bytes: Option<u64>, output: &Output) -> Result<(), Stop> {
    open()?.set_quota(quota_bytes)?;
    show_quota(output)
}

pub fn rebuild(output: &Output) -> Result<(), Stop> {
    interrupt::watch_work()?;
    let (_, names) = BlobStore::rebuild(&folder()?, &mut reading("rebuilding", output))?;
    output.end_progress();
    if output.json {
        return output.json(&json!({ "type": "rebuilt", "models": names }));
    }
    output.line(format!("the index is made anew, with {} models", names.len()))?;
    names.iter().try_for_each(|name| output.line(format!("  {name}")))
}
