//! Random work on the store, beside a model of it that fits into a map.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use hearth_host::store::{BlobId, BlobStore, FileState, ImportMode, ModelState, StoreError};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const WEIGHTS: [&[u8]; 5] = [b"", b"one", b"two and two", b"three three three", b"four"];

#[derive(Clone, Debug)]
enum Work {
    /// A model of weights and a tokenizer, from the folder of its name.
    Import(usize, usize, usize),
    Remove(usize),
    Pin(usize, bool),
    Collect,
    Quota(Option<u64>),
    MakeRoom(u64),
    /// A byte of a blob becomes another.
    Damage(usize),
    Verify(usize),
    Mend(usize),
    Reopen,
    Rebuild,
}

fn work() -> impl Strategy<Value = Work> {
    let (name, weights) = (0..NAMES.len(), 0..WEIGHTS.len());
    prop_oneof![
        4 => (name.clone(), weights.clone(), weights.clone()).prop_map(|(name, first, second)| Work::Import(name, first, second)),
        2 => name.clone().prop_map(Work::Remove),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, is_pinned)| Work::Pin(name, is_pinned)),
        1 => Just(Work::Collect),
        1 => proptest::option::of(0_u64..60).prop_map(Work::Quota),
        1 => (0_u64..40).prop_map(Work::MakeRoom),
        2 => weights.clone().prop_map(Work::Damage),
        1 => name.clone().prop_map(Work::Verify),
        2 => weights.prop_map(Work::Mend),
        1 => Just(Work::Reopen),
        1 => Just(Work::Rebuild),
    ]
}

#[derive(Default)]
struct Expected {
    /// The two files of each model, and whether it is pinned.
    models: BTreeMap<usize, ([usize; 2], bool)>,
    damaged: BTreeSet<usize>,
    quota_bytes: Option<u64>,
}

impl Expected {
    fn blobs(&self) -> BTreeSet<usize> {
        self.models.values().flat_map(|(files, _)| *files).collect()
    }

    fn used_bytes(&self) -> u64 {
        self.blobs().into_iter().map(|blob| WEIGHTS[blob].len() as u64).sum()
    }

    /// Damage goes with the bytes.
    fn forget(&mut self) {
        let blobs = self.blobs();
        self.damaged.retain(|blob| blobs.contains(blob));
    }
}

fn id(weights: usize) -> BlobId {
    BlobId::of(WEIGHTS[weights])
}

fn import(store: &BlobStore, own: &Path, expected: &mut Expected, name: usize, files: [usize; 2]) {
    let [first, second] = files;
    let folder = own.join(NAMES[name]);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model.safetensors"), WEIGHTS[first]).unwrap();
    fs::write(folder.join("tokenizer.json"), WEIGHTS[second]).unwrap();
    let new: BTreeSet<usize> = [first, second].into();
    let new_bytes: u64 = (WEIGHTS[first].len() + WEIGHTS[second].len()) as u64;
    let is_over = expected.quota_bytes.is_some_and(|quota| expected.used_bytes() + new_bytes > quota);
    let imported = store.import(&folder, ImportMode::Copy, None, &mut |_| Ok(()));
    if is_over {
        assert!(matches!(imported.unwrap_err(), StoreError::OverQuota { .. }));
        return;
    }
    assert_eq!(imported.unwrap().manifest.name, NAMES[name]);
    let is_pinned = expected.models.get(&name).is_some_and(|(_, is_pinned)| *is_pinned);
    expected.models.insert(name, ([first, second], is_pinned));
    // What was damaged is replaced by what came.
    expected.damaged.retain(|blob| !new.contains(blob));
    expected.forget();
}

fn make_room(store: &BlobStore, expected: &mut Expected, bytes: u64) {
    let before = expected.models.len();
    let made = store.make_room(bytes);
    let left: BTreeSet<String> = store.models().unwrap().into_iter().map(|model| model.manifest.name).collect();
    expected.models.retain(|name, (_, is_pinned)| {
        let stays = left.contains(NAMES[*name]);
        assert!(stays || !*is_pinned, "a pinned model went");
        stays
    });
    expected.forget();
    let has_room = expected.quota_bytes.is_none_or(|quota| expected.used_bytes() + bytes <= quota);
    assert_eq!(made.is_ok(), has_room);
    assert!(has_room || expected.models.len() == before, "models went in vain");
}

fn rebuild(store: &mut BlobStore, expected: &mut Expected) {
    let root = store.root().to_owned();
    *store = BlobStore::rebuild(&root, &mut |_| Ok(())).unwrap().0;
    expected.quota_bytes = None;
    let damaged = expected.damaged.clone();
    // What is damaged cannot be told from what is not a model's.
    expected.models.retain(|_, (files, _)| files.iter().all(|file| !damaged.contains(file)));
    expected.models.values_mut().for_each(|(_, is_pinned)| *is_pinned = false);
    expected.forget();
    store.collect_garbage(Duration::ZERO).unwrap();
}

fn act(store: &mut BlobStore, own: &Path, expected: &mut Expected, work: &Work) {
    match *work {
        Work::Import(name, first, second) => import(store, own, expected, name, [first, second]),
        Work::Remove(name) => {
            let known = expected.models.remove(&name).is_some();
            assert_eq!(store.remove(NAMES[name]).is_ok(), known);
            expected.forget();
        }
        Work::Pin(name, is_pinned) => {
            let model = expected.models.get_mut(&name);
            assert_eq!(store.pin(NAMES[name], is_pinned).is_ok(), model.is_some());
            if let Some(model) = model {
                model.1 = is_pinned;
            }
        }
        Work::Collect => drop(store.collect_garbage(Duration::ZERO).unwrap()),
        Work::Quota(quota_bytes) => {
            store.set_quota(quota_bytes).unwrap();
            expected.quota_bytes = quota_bytes;
        }
        Work::MakeRoom(bytes) => make_room(store, expected, bytes),
        Work::Damage(weights) => {
            let path = store.blob_path(&id(weights));
            if WEIGHTS[weights].is_empty() || !path.is_file() {
                return;
            }
            let mut file = fs::File::options().write(true).open(path).unwrap();
            file.seek(SeekFrom::Start(WEIGHTS[weights].len() as u64 / 2)).unwrap();
            file.write_all(b"!").unwrap();
            expected.damaged.insert(weights);
        }
        Work::Verify(name) => {
            let Some((files, _)) = expected.models.get(&name) else { return };
            let states = store.verify(NAMES[name], &mut |_| Ok(())).unwrap();
            let is_whole: Vec<bool> = states.iter().map(|check| check.state == FileState::Whole).collect();
            assert_eq!(is_whole, files.map(|file| !expected.damaged.contains(&file)));
            let state = store.model(NAMES[name]).unwrap().state;
            assert_eq!(state == ModelState::Whole, is_whole == [true, true]);
        }
        Work::Mend(weights) => {
            if !expected.blobs().contains(&weights) {
                return;
            }
            let needed = store.begin_repair(&id(weights)).unwrap();
            assert_eq!(!needed.is_empty(), expected.damaged.remove(&weights));
            for (index, ..) in needed {
                store.mend(&id(weights), index, WEIGHTS[weights]).unwrap();
            }
            store.end_repair(&id(weights)).unwrap();
        }
        Work::Reopen => *store = BlobStore::open(store.root()).unwrap(),
        Work::Rebuild => rebuild(store, expected),
    }
}

fn require_same(store: &BlobStore, expected: &Expected) {
    let models = store.models().unwrap();
    let found: Vec<_> = models.iter().map(|model| (model.manifest.name.as_str(), model.is_pinned)).collect();
    let wanted: Vec<_> = expected.models.iter().map(|(name, (_, is_pinned))| (NAMES[*name], *is_pinned)).collect();
    assert_eq!(found, wanted);
    assert_eq!(store.used_bytes().unwrap(), expected.used_bytes());
    assert_eq!(store.quota_bytes().unwrap(), expected.quota_bytes);
    for (model, (files, _)) in models.iter().zip(expected.models.values()) {
        for (path, weights) in ["model.safetensors", "tokenizer.json"].into_iter().zip(files) {
            let bytes = fs::read(model.folder.join(path)).unwrap();
            assert_eq!(bytes == WEIGHTS[*weights], !expected.damaged.contains(weights), "{path}");
        }
    }
    for weights in 0..WEIGHTS.len() {
        assert_eq!(store.blob_path(&id(weights)).exists(), expected.blobs().contains(&weights));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_what_a_map_would(works in prop::collection::vec(work(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = BlobStore::open(folder.path().join("store")).unwrap();
        let mut expected = Expected::default();
        for work in &works {
            act(&mut store, &folder.path().join("own"), &mut expected, work);
            require_same(&store, &expected);
        }
    }
}
