//! Downloads: from a server on this machine into a store, one behaviour each.

#[path = "../faulty/mod.rs"]
mod faulty;
mod hosts;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use faulty::{COMMIT, Chance, Fault, REPO, Server, model};
use hearth_host::{
    ModelStore,
    download::{Control, DownloadError, Pace, PullEvent, PullOptions, Source, pull, repair},
    store::{BlobId, BlobStore, FileState, StoreError, StoredModel},
};
use tempfile::TempDir;

const CHUNK: u32 = 4096;

struct Place {
    folder: TempDir,
    events: RefCell<Vec<PullEvent>>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), events: RefCell::default() }
    }

    fn store(&self) -> BlobStore {
        BlobStore::open(self.folder.path().join("store")).unwrap()
    }

    fn pull(&self, what: &str, options: &PullOptions) -> Result<StoredModel, DownloadError> {
        self.pull_with(what, options, &Control::default())
    }

    fn pull_with(&self, what: &str, options: &PullOptions, control: &Control) -> Result<StoredModel, DownloadError> {
        self.events.borrow_mut().clear();
        let words: Vec<String> = what.split(' ').map(str::to_owned).collect();
        let tell = |event| self.events.borrow_mut().push(event);
        pull(&self.store(), &Source::parse(&words)?, options, control, &tell)
    }

    /// Whether what was told fits.
    fn was_told(&self, fits: impl Fn(&PullEvent) -> bool) -> bool {
        self.events.borrow().iter().any(fits)
    }
}

fn options(server: &Server) -> PullOptions {
    let second = Duration::from_millis(1);
    // Nothing that a busy machine does takes as long as a stall.
    let pace = Pace { second, stall_s: 20_000.0, ..Pace::default() };
    PullOptions {
        base_url: server.base(),
        chunk_bytes: CHUNK,
        request_bytes: 4 * u64::from(CHUNK),
        connections: 3,
        pace,
        ..PullOptions::default()
    }
}

fn read(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| name != "manifest.json").collect()
}

#[test]
fn a_model_comes_whole_and_is_found_by_its_name() {
    let mut files = model(1, 100_000);
    files.insert("pytorch_model.bin".into(), vec![0; 1000]);
    let server = Server::start(files.clone());
    let place = Place::new();
    let model = place.pull(REPO, &options(&server)).unwrap();
    assert_eq!((model.manifest.name.as_str(), model.manifest.revision.as_str()), ("tiny", COMMIT));
    files.remove("pytorch_model.bin");
    let found = ModelStore::new([]).stored_in(place.store().root()).find("tiny").unwrap();
    assert_eq!(read(&found.folder), files);
    let total_bytes = files.values().map(|bytes| bytes.len() as u64).sum();
    assert!(place.was_told(|event| *event == PullEvent::Planned { files: 3, total_bytes, held_bytes: 0 }));
    assert_eq!(server.body_bytes(), total_bytes, "each byte comes once");
    assert!(server.asked().iter().filter(|asked| asked.range.is_some()).count() > 7, "in ranges");
    // Once more: nothing but the list is asked for.
    let before = server.asked().len();
    place.pull(REPO, &options(&server)).unwrap();
    let again: Vec<String> = server.asked()[before..].iter().map(|asked| asked.path.clone()).collect();
    assert!(matches!(&again[..], [list] if list.starts_with("/api/")), "{again:?}");
    assert_eq!(
        fs::read_dir(place.store().partial_folder())
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                !name.to_string_lossy().ends_with(".lock")
            })
            .count(),
        0
    );
}

#[test]
fn what_is_cancelled_goes_on_where_it_was() {
    let server = Server::start(model(2, 200_000));
    let place = Place::new();
    let control = Control::default();
    let stops = control.clone();
    let mut left = 6;
    server.faults(move |asked| {
        if asked.range.is_some_and(|(_, last)| last > 0) {
            left -= 1;
            if left == 0 {
                stops.cancel();
            }
        }
        Fault::None
    });
    let cancelled = place.pull_with(REPO, &options(&server), &control).unwrap_err();
    assert_eq!(cancelled, DownloadError::Cancelled);
    assert!(place.store().models().unwrap().is_empty());
    server.faults(|_| Fault::None);
    let before = server.body_bytes();
    let model = place.pull(REPO, &options(&server)).unwrap();
    let held = place.events.borrow().iter().find_map(|event| match event {
        PullEvent::Planned { held_bytes, total_bytes, .. } => Some((*held_bytes, *total_bytes)),
        _ => None,
    });
    let (held_bytes, total_bytes) = held.unwrap();
    assert!(held_bytes > 0);
    assert_eq!(server.body_bytes() - before, total_bytes - held_bytes, "nothing comes twice");
    assert_eq!(read(&model.folder), server.files());
}

#[test]
fn what_is_paused_asks_for_nothing_until_it_goes_on() {
    let server = Server::start(model(3, 100_000));
    let place = Place::new();
    let control = Control::default();
    let pauses = control.clone();
    let resumed = Arc::new(Mutex::new(None));
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut seen = 0;
    server.faults(move |asked| {
        if asked.range.is_some_and(|(_, last)| last > 0) {
            seen += 1;
            if seen == 4 {
                pauses.pause(true);
                sender.send(()).unwrap();
            }
        }
        Fault::None
    });
    let goes_on = control.clone();
    let at = Arc::clone(&resumed);
    let thread = std::thread::spawn(move || {
        receiver.recv().unwrap();
        *at.lock().unwrap() = Some(());
        goes_on.pause(false);
    });
    let model = place.pull_with(REPO, &options(&server), &control).unwrap();
    thread.join().unwrap();
    assert!(resumed.lock().unwrap().is_some());
    assert_eq!(read(&model.folder), server.files());
}

#[test]
fn a_file_that_changed_between_attempts_begins_anew_and_says_so() {
    for has_sidecars in [true, false] {
        let server = Server::start(BTreeMap::from([("m.gguf".to_owned(), Chance(4).bytes(100_000))]));
        if !has_sidecars {
            server.without_sidecars();
        }
        let place = Place::new();
        let control = Control::default();
        let stops = control.clone();
        let mut seen = 0;
        server.faults(move |asked| {
            seen += u32::from(asked.range.is_some_and(|(_, last)| last > 0));
            if seen == 5 {
                stops.cancel();
            }
            Fault::None
        });
        let options = PullOptions { allows_unverified: true, ..options(&server) };
        let url = server.url("m.gguf");
        assert_eq!(place.pull_with(&url, &options, &control).unwrap_err(), DownloadError::Cancelled);
        server.change();
        server.faults(|_| Fault::None);
        let model = place.pull(&url, &options).unwrap();
        assert_eq!(read(&model.folder), server.files());
        // With a hash the new file is another one, and the old one's bytes are in nobody's way.
        let is_anew = place.was_told(|event| matches!(event, PullEvent::Anew { .. }));
        assert_eq!(is_anew, !has_sidecars);
    }
}

#[test]
fn a_file_that_changes_while_it_comes_begins_anew_and_says_so() {
    let server = Server::start(BTreeMap::from([("m.gguf".to_owned(), Chance(5).bytes(100_000))]));
    let place = Place::new();
    let mut seen = 0;
    server.faults(move |asked| {
        seen += u32::from(asked.range.is_some_and(|(_, last)| last > 0));
        if seen == 5 { Fault::Change } else { Fault::None }
    });
    let model = place.pull(&server.url("m.gguf"), &options(&server)).unwrap();
    assert_eq!(read(&model.folder), server.files());
    assert!(place.was_told(|event| matches!(event, PullEvent::Anew { .. })));
    assert!(server.asked().iter().any(|asked| asked.if_range.as_deref() == Some("\"v0\"")));
}

#[test]
fn a_server_without_ranges_serves_too() {
    let server = Server::start(model(6, 100_000));
    server.faults(|asked| if asked.range.is_some() { Fault::NoRange } else { Fault::None });
    let place = Place::new();
    let model = place.pull(REPO, &options(&server)).unwrap();
    assert_eq!(read(&model.folder), server.files());
    // And with connections that end: what came is compared, not taken twice.
    let mut cuts = 3;
    server.change();
    server.faults(move |asked| match asked.range {
        Some(_) => Fault::NoRange,
        None if asked.path.ends_with("safetensors") && cuts > 0 => {
            cuts -= 1;
            Fault::Cut(30_000 * (4 - cuts))
        }
        None => Fault::None,
    });
    let model = place.pull(REPO, &options(&server)).unwrap();
    assert_eq!(read(&model.folder), server.files());
}

#[test]
fn an_empty_file_and_one_of_whole_chunks_come_as_they_are() {
    for bytes in [0, 1, CHUNK as usize, 4 * CHUNK as usize, 4 * CHUNK as usize + 1] {
        let server = Server::start(BTreeMap::from([("m.gguf".to_owned(), Chance(12).bytes(bytes))]));
        let place = Place::new();
        let model = place.pull(&server.url("m.gguf"), &options(&server)).unwrap();
        assert_eq!(read(&model.folder), server.files(), "{bytes}");
    }
}

#[test]
fn what_would_not_fit_is_refused_before_it_begins() {
    let server = Server::start(model(13, 50_000));
    let place = Place::new();
    place.store().set_quota(Some(10_000)).unwrap();
    let refused = place.pull(REPO, &options(&server)).unwrap_err();
    assert!(matches!(refused, DownloadError::Store(StoreError::OverQuota { .. })), "{refused}");
    assert_eq!(server.body_bytes(), 0);
    place.store().set_quota(Some(60_000)).unwrap();
    place.pull(REPO, &options(&server)).unwrap();
    let other = Server::start(BTreeMap::from([("m.gguf".to_owned(), Chance(14).bytes(50_000))]));
    let makes_room = PullOptions { makes_room: true, ..options(&other) };
    place.store().pin("tiny", true).unwrap();
    assert!(place.pull(&other.url("m.gguf"), &makes_room).is_err());
    place.store().pin("tiny", false).unwrap();
    place.pull(&other.url("m.gguf"), &makes_room).unwrap();
    assert!(place.was_told(|event| *event == PullEvent::MadeRoom { models: vec!["tiny".into()] }));
}

#[test]
fn a_damaged_model_is_mended_with_the_damaged_chunks_alone() {
    let server = Server::start(model(15, 100_000));
    let place = Place::new();
    let model = place.pull(REPO, &options(&server)).unwrap();
    let weights = model.folder.join("model.safetensors");
    let right = fs::read(&weights).unwrap();
    let mut damaged = right.clone();
    for at in [5000, 5001, 99_999] {
        damaged[at] ^= 1;
    }
    // In place, as a disk does it: the blob has the same bytes.
    let mut file = fs::File::options().write(true).open(&weights).unwrap();
    std::io::Write::write_all(&mut file, &damaged).unwrap();
    let before = server.body_bytes();
    // The first answer is spoilt, too.
    let mut first = true;
    server.faults(move |_| if std::mem::take(&mut first) { Fault::Spoil(3) } else { Fault::None });
    let fetched = repair(&place.store(), "tiny", &options(&server), &Control::default(), &|_| {}).unwrap();
    let last_bytes = 100_000 % u64::from(CHUNK);
    assert_eq!(fetched, u64::from(CHUNK) + last_bytes);
    assert!(server.body_bytes() - before <= fetched + u64::from(CHUNK));
    assert_eq!(fs::read(&weights).unwrap(), right);
    let states = place.store().verify("tiny", &mut |_| Ok(())).unwrap();
    assert!(states.iter().all(|check| check.state == FileState::Whole));
    // If the source has something else by now, it is not taken.
    fs::remove_file(place.store().blob_path(&BlobId::of(&right))).unwrap();
    server.change();
    assert!(repair(&place.store(), "tiny", &options(&server), &Control::default(), &|_| {}).is_err());
    assert!(ModelStore::new([]).stored_in(place.store().root()).find("tiny").is_err());
}

#[test]
fn two_at_once_fetch_each_byte_once() {
    let server = Server::start(model(16, 200_000));
    let place = Place::new();
    let root = place.folder.path().join("store");
    let options = options(&server);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let store = BlobStore::open(&root).unwrap();
                pull(&store, &Source::parse(&[REPO.into()]).unwrap(), &options, &Control::default(), &|_| {}).unwrap();
            });
        }
    });
    assert_eq!(server.body_bytes(), 220_002);
    assert_eq!(read(&place.store().model("tiny").unwrap().folder), server.files());
}
