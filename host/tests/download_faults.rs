//! Two hundred downloads from a server that does everything wrong that a server can: each ends with the right bytes or
//! with an error that says why, none with a wrong file that counts as complete, and none spoils the next attempt.

#![allow(clippy::print_stdout, reason = "how many of the runs did what is worth telling")]

mod faulty;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use faulty::{Chance, Fault, REPO, Server};
use hearth_host::{
    download::{Control, DownloadError, Pace, PullOptions, Source, pull},
    store::{BlobId, BlobStore},
};

const RUNS: u64 = 200;
const THREADS: u64 = 4;

fn fault(chance: &mut Chance, percent: u64) -> Fault {
    if chance.below(100) >= percent {
        return Fault::None;
    }
    let at = chance.next() as usize;
    match chance.below(16) {
        0 | 1 => Fault::Drop,
        2 | 3 => Fault::Cut(at),
        4 => Fault::Spoil(at),
        5 => Fault::Stall(at),
        6 => Fault::OtherRange,
        7 => Fault::OtherTotal,
        8 => Fault::OtherLength,
        9 => Fault::Longer,
        10 => Fault::NoRange,
        11 => Fault::Compressed,
        12 => Fault::Status([403, 416][at % 2], None),
        13 => Fault::Status([429, 503][at % 2], [None, Some(1)][at / 2 % 2]),
        14 if at.is_multiple_of(8) => Fault::Change,
        _ => Fault::Status(503, None),
    }
}

/// Every file of the store that counts as complete has the bytes of its name.
fn require_sound(root: &Path, seed: u64) {
    for folder in fs::read_dir(root.join("blobs/sha256")).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        for blob in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = format!("{}{}", folder.file_name().unwrap().display(), blob.file_name().unwrap().display());
            assert_eq!(BlobId::of(&fs::read(&blob).unwrap()).to_string(), name, "seed {seed}");
        }
    }
}

/// Whether the folder has these files.
fn has(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> bool {
    files.iter().all(|(name, bytes)| fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

/// One run; whether it ended with the right bytes.
fn run(seed: u64) -> bool {
    let mut chance = Chance(seed);
    let bytes = chance.below(60_000) as usize;
    let weights = chance.bytes(bytes);
    let server = Server::start(BTreeMap::from([
        ("config.json".to_owned(), b"{}".to_vec()),
        ("model.safetensors".to_owned(), weights),
    ]));
    if chance.below(3) == 0 {
        server.list_small(chance.below(2) == 0);
    }
    let percent = [5, 20, 40][chance.below(3) as usize];
    let mut faults = chance.clone();
    let is_url = chance.below(3) == 0;
    server.faults(move |_| fault(&mut faults, percent));
    let source = if is_url { server.url("model.safetensors") } else { REPO.to_owned() };
    let source = Source::parse(&[source]).unwrap();
    let pace = Pace { second: Duration::from_millis(1), stall_s: 300.0, backoff_max_s: 4.0, ..Pace::default() };
    let options = PullOptions {
        base_url: server.base(),
        chunk_bytes: 1024 << chance.below(4),
        request_bytes: 1 << (10 + chance.below(6)),
        connections: 1 + chance.below(4) as usize,
        pace,
        ..PullOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let outcome = pull(&store, &source, &options, &Control::default(), &|_| {});
    require_sound(folder.path(), seed);
    let wanted = |server: &Server| {
        let mut files = server.files();
        files.retain(|name, _| !is_url || name == "model.safetensors");
        files
    };
    let is_right = match outcome {
        Ok(model) => {
            // A change after the last byte came is none of its business.
            for file in &model.manifest.files {
                let bytes = fs::read(model.folder.join(&file.path)).unwrap();
                assert!(server.ever_had(&file.path, &bytes), "seed {seed}: {}", file.path);
            }
            true
        }
        Err(error) => {
            assert!(!matches!(error, DownloadError::Store(_) | DownloadError::Cancelled), "seed {seed}: {error}");
            assert!(!error.hint().is_empty() && store.models().unwrap().is_empty(), "seed {seed}: {error}");
            false
        }
    };
    // As soon as the server behaves, the same command ends well, whatever was left behind.
    server.faults(|_| Fault::None);
    let pace = Pace { stall_s: 20_000.0, ..pace };
    let model = pull(&store, &source, &PullOptions { pace, ..options }, &Control::default(), &|_| {});
    let model = model.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(has(&model.folder, &wanted(&server)), "seed {seed}");
    require_sound(folder.path(), seed);
    is_right
}

#[test]
fn whatever_the_server_does_nothing_wrong_counts_as_complete() {
    let right = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let right = &right;
            scope.spawn(move || {
                for seed in (thread..RUNS).step_by(THREADS as usize) {
                    right.fetch_add(u64::from(run(seed)), Ordering::Relaxed);
                }
            });
        }
    });
    let right = right.into_inner();
    println!("{right} of {RUNS} runs ended with the right bytes, the others with an error");
    // If all failed, or none, nothing would be shown.
    assert!((RUNS / 4..RUNS).contains(&right), "{right}");
}
