//! The model store: what goes in comes out, damage is found and mended, and whatever is interrupted leaves it whole.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use hearth_host::{
    ModelStore,
    store::{
        BlobId, BlobStore, FileState, Freed, Held, ImportMode, ModelFile, ModelState, NewModel, Staged, StoreError,
    },
};
use tempfile::TempDir;

const CHUNK: u32 = 16;

fn store(folder: &TempDir) -> BlobStore {
    BlobStore::open(folder.path().join("store")).unwrap()
}

/// A model's folder with these weights.
fn model_folder(folder: &TempDir, name: &str, weights: &[u8]) -> PathBuf {
    let path = folder.path().join("own").join(name);
    fs::create_dir_all(path.join("1_Pooling")).unwrap();
    fs::write(path.join("config.json"), "{}").unwrap();
    fs::write(path.join("1_Pooling/config.json"), r#"{"pooling": 1}"#).unwrap();
    fs::write(path.join("diary.txt"), "private").unwrap();
    fs::write(path.join("model.safetensors"), weights).unwrap();
    path
}

fn import(store: &BlobStore, path: &Path, mode: ImportMode) -> String {
    store.import(path, mode, None, &mut |_| Ok(())).unwrap().manifest.name
}

/// A model of one file in chunks of 16 bytes.
fn place(store: &BlobStore, name: &str, weights: &[u8]) -> BlobId {
    let staged = store.partial_folder().join(name);
    fs::create_dir_all(store.partial_folder()).unwrap();
    fs::write(&staged, weights).unwrap();
    let staged = Staged::from_file(staged, CHUNK).unwrap();
    store.place(&staged).unwrap();
    let files = vec![ModelFile {
        path: "model.safetensors".into(),
        bytes: staged.bytes,
        sha256: staged.blob,
        urls: vec!["https://models.example/m".into()],
    }];
    let (source, revision) = (format!("hub:{name}"), "1".into());
    store.commit(&NewModel { name: name.into(), is_named: true, source, revision, files }).unwrap();
    staged.blob
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

fn states(store: &BlobStore, name: &str) -> Vec<(String, FileState)> {
    let checks = store.verify(name, &mut |_| Ok(())).unwrap();
    checks.into_iter().map(|check| (check.path, check.state)).collect()
}

#[test]
fn an_imported_model_is_found_by_its_name_with_its_own_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("copied", ImportMode::Copy), ("linked", ImportMode::Link)] {
        let own = model_folder(&folder, name, name.as_bytes());
        let store = store(&folder);
        assert_eq!(import(&store, &own, mode), name);
        let found = ModelStore::new([]).stored_in(store.root()).find(name).unwrap();
        assert_eq!((found.name.as_str(), found.file), (name, None));
        assert_eq!(fs::read(found.folder.join("model.safetensors")).unwrap(), name.as_bytes());
        assert!(found.folder.join("1_Pooling/config.json").is_file());
        assert!(!found.folder.join("diary.txt").exists());
        assert!(states(&store, name).iter().all(|(_, state)| *state == FileState::Whole));
    }
    let lookup = ModelStore::new([]).stored_in(store(&folder).root());
    let list = lookup.list().unwrap();
    assert!(list.models.iter().all(|model| model.place.is_none() && !model.is_added && !model.is_missing));
    let shown = format!("{list:?}{:?}", lookup.registry().unwrap());
    assert!(!shown.contains(folder.path().to_str().unwrap()), "where it came from is nobody's business: {shown}");
    // The links take no room of the store's; config.json is the copy's in both.
    let shared = "{}".len() + r#"{"pooling": 1}"#.len();
    assert_eq!(store(&folder).used_bytes().unwrap(), (shared + "copied".len()) as u64);
}

#[test]
fn the_same_folder_again_replaces_the_model_and_another_of_its_name_gets_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let own = model_folder(&folder, "m", b"first");
    let first = store.import(&own, ImportMode::Copy, None, &mut |_| Ok(())).unwrap();
    fs::write(own.join("model.safetensors"), "second").unwrap();
    assert_eq!(import(&store, &own, ImportMode::Copy), "m");
    assert_eq!(store.models().unwrap().len(), 1);
    assert_eq!(store.holds(&BlobId::of(b"first")).unwrap(), Held::Nothing);
    assert!(!first.folder.exists());
    let other = model_folder(&folder, "other/m", b"third");
    assert_eq!(import(&store, &other, ImportMode::Copy), "m-2");
    assert_eq!(import(&store, &other, ImportMode::Copy), "m-2");
    // A name that is asked for is given, and the same again.
    for _ in 0..2 {
        let named = store.import(&other, ImportMode::Copy, Some("named"), &mut |_| Ok(())).unwrap();
        assert_eq!(named.manifest.name, "named");
    }
    assert_eq!(store.models().unwrap().len(), 3);
}

#[test]
fn a_file_that_two_models_share_is_kept_until_both_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let blob = place(&store, "a", b"the same weights");
    assert_eq!(place(&store, "b", b"the same weights"), blob);
    assert_eq!(store.used_bytes().unwrap(), 16);
    assert_eq!(store.remove("a").unwrap(), Freed { models: vec!["a".into()], ..Freed::default() });
    assert_eq!(states(&store, "b"), [("model.safetensors".to_owned(), FileState::Whole)]);
    assert_eq!(store.remove("b").unwrap().bytes, 16);
    assert!(!store.blob_path(&blob).exists());
    let unknown = store.remove("b").unwrap_err();
    assert_eq!(unknown, StoreError::UnknownModel { name: "b".into(), held: "none".into() });
}

#[test]
fn damage_is_found_by_chunk_refused_to_the_engine_and_mended_by_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let weights: Vec<u8> = (0..100).collect();
    let blob = place(&store, "m", &weights);
    let path = store.blob_path(&blob);
    overwrite(&path, 40, b"x");
    overwrite(&path, 99, b"x");
    let damaged = FileState::Damaged { chunks: vec![2, 6], chunk_bytes: CHUNK };
    assert_eq!(states(&store, "m"), [("model.safetensors".to_owned(), damaged)]);
    assert_eq!(store.model("m").unwrap().state, ModelState::Damaged);
    let lookup = ModelStore::new([]).stored_in(store.root());
    let refused = lookup.find("m").unwrap_err().to_string();
    assert!(refused.contains("hearth models repair"), "{refused}");
    assert!(lookup.list().unwrap().models[0].is_missing);

    let needed = store.begin_repair(&blob).unwrap();
    assert_eq!(needed, [(2, 32, 16), (6, 96, 4)]);
    let wrong = store.mend(&blob, 2, &[0; 16]).unwrap_err();
    assert!(matches!(wrong, StoreError::WrongHash { .. }), "{wrong}");
    store.mend(&blob, 2, &weights[32..48]).unwrap();
    assert!(store.end_repair(&blob).is_err(), "one chunk is still damaged");
    assert_eq!(store.begin_repair(&blob).unwrap(), [(6, 96, 4)]);
    store.mend(&blob, 6, &weights[96..]).unwrap();
    store.end_repair(&blob).unwrap();
    assert_eq!(states(&store, "m"), [("model.safetensors".to_owned(), FileState::Whole)]);
    assert_eq!(fs::read(lookup.find("m").unwrap().folder.join("model.safetensors")).unwrap(), weights);
}

#[test]
fn a_cut_a_grown_and_a_vanished_blob_are_mended_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let weights: Vec<u8> = (0..50).collect();
    let blob = place(&store, "m", &weights);
    let path = store.blob_path(&blob);
    type Harm = fn(&Path);
    let harms: [(Harm, &[u64]); 3] = [
        (|path| fs::File::options().write(true).open(path).unwrap().set_len(20).unwrap(), &[1, 2, 3]),
        (|path| fs::File::options().write(true).open(path).unwrap().set_len(60).unwrap(), &[3]),
        (|path| fs::remove_file(path).unwrap(), &[0, 1, 2, 3]),
    ];
    for (harm, chunks) in harms {
        harm(&path);
        let needed = store.begin_repair(&blob).unwrap();
        assert_eq!(needed.iter().map(|(index, ..)| *index).collect::<Vec<_>>(), chunks);
        for (index, offset, bytes) in needed {
            let range = offset as usize..offset as usize + bytes as usize;
            store.mend(&blob, index, &weights[range]).unwrap();
        }
        store.end_repair(&blob).unwrap();
        assert_eq!(states(&store, "m"), [("model.safetensors".to_owned(), FileState::Whole)]);
    }
}

#[test]
fn mending_a_linked_file_leaves_the_persons_own_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let own = model_folder(&folder, "m", b"weights");
    import(&store, &own, ImportMode::Link);
    overwrite(&own.join("model.safetensors"), 0, b"WEIGHTS");
    let blob = BlobId::of(b"weights");
    assert_eq!(store.begin_repair(&blob).unwrap(), [(0, 0, 7)]);
    store.mend(&blob, 0, b"weights").unwrap();
    store.end_repair(&blob).unwrap();
    assert_eq!(fs::read(own.join("model.safetensors")).unwrap(), b"WEIGHTS");
    let found = ModelStore::new([]).stored_in(store.root()).find("m").unwrap();
    assert_eq!(fs::read(found.folder.join("model.safetensors")).unwrap(), b"weights");
}

#[test]
fn a_damaged_index_says_so_and_is_made_anew_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let blob = place(&store(&folder), "m", b"weights");
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(root.join(format!("index.sqlite{ending}")));
    }
    fs::write(root.join("index.sqlite"), "no database, but longer than the header of one has to be".repeat(9)).unwrap();
    let damaged = BlobStore::open(&root).err().unwrap();
    assert!(matches!(damaged, StoreError::IndexDamaged { .. }), "{damaged}");
    assert!(damaged.hint().contains("hearth models rebuild"));
    // Others are found all the same.
    let lookup = ModelStore::new([common::models_dir()]).stored_in(&root);
    assert_eq!(lookup.find("").unwrap().name, common::MODEL);
    assert!(lookup.find("m").unwrap_err().to_string().contains("hearth models rebuild"));

    let (store, names) = BlobStore::rebuild(&root, &mut |_| Ok(())).unwrap();
    assert_eq!(names, ["m"]);
    assert_eq!(states(&store, "m"), [("model.safetensors".to_owned(), FileState::Whole)]);
    assert_eq!(store.holds(&blob).unwrap(), Held::Whole);
    assert_eq!(store.model("m").unwrap().manifest.files[0].urls, ["https://models.example/m"]);
}

#[test]
fn a_newer_index_and_another_programs_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    drop(store(&folder));
    let connection = rusqlite::Connection::open(root.join("index.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    let newer = BlobStore::open(&root).err().unwrap();
    assert!(matches!(newer, StoreError::IndexNewer { found: 2, known: 1, .. }), "{newer}");
    connection.pragma_update(None, "application_id", 7).unwrap();
    let other = BlobStore::open(&root).err().unwrap();
    assert!(other.to_string().contains("another program"), "{other}");
}

#[test]
fn the_quota_holds_and_room_is_made_of_what_is_not_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    for name in ["a", "b", "c"] {
        place(&store, name, format!("{name}{}", "x".repeat(99)).as_bytes());
    }
    store.set_quota(Some(350)).unwrap();
    store.require_room(50).unwrap();
    let refused = store.require_room(51).unwrap_err();
    assert_eq!(refused, StoreError::OverQuota { new_bytes: 51, used_bytes: 300, quota_bytes: 350 });
    store.pin("a", true).unwrap();
    let too_much = store.make_room(251).unwrap_err();
    assert!(matches!(too_much, StoreError::OverQuota { .. }));
    assert_eq!(store.models().unwrap().len(), 3, "nothing goes in vain");
    assert_eq!(store.make_room(250).unwrap().models.len(), 2);
    assert_eq!(store.models().unwrap()[0].manifest.name, "a");
    store.set_quota(None).unwrap();
    assert!(matches!(store.require_room(u64::MAX).unwrap_err(), StoreError::NoSpace { .. }));
}

#[test]
fn garbage_goes_and_what_is_new_or_named_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    place(&store, "m", b"weights");
    let staged = store.partial_folder().join("new");
    fs::write(&staged, "on its way into a model").unwrap();
    let staged = Staged::from_file(staged, CHUNK).unwrap();
    store.place(&staged).unwrap();
    let stray = store.blob_path(&BlobId::of(b"stray"));
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, "stray").unwrap();
    fs::create_dir_all(store.root().join("models/m/0123")).unwrap();
    let week = Duration::from_secs(7 * 24 * 3600);
    assert_eq!(store.collect_garbage(week).unwrap(), Freed::default());
    assert_eq!(store.holds(&staged.blob).unwrap(), Held::Whole);
    assert_eq!(store.collect_garbage(Duration::ZERO).unwrap().files, 2);
    assert_eq!(store.holds(&staged.blob).unwrap(), Held::Nothing);
    assert!(!stray.exists() && !store.root().join("models/m/0123").exists());
    assert_eq!(states(&store, "m"), [("model.safetensors".to_owned(), FileState::Whole)]);
}

#[test]
fn a_file_that_was_placed_just_before_a_kill_counts_once_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    for (bytes, held) in [(&b"whole"[..], Held::Whole), (b"torn", Held::Nothing)] {
        let blob = BlobId::of(b"whole");
        let path = store.blob_path(&blob);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        assert_eq!(store.holds(&blob).unwrap(), held);
        store.collect_garbage(Duration::ZERO).unwrap();
    }
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let blob = place(&store, "m", b"weights");
    for path in ["../m", "a/b", "", "/etc/passwd", ".hidden", "c:x"] {
        let files = vec![ModelFile { path: path.into(), bytes: 7, sha256: blob, urls: Vec::new() }];
        let new = NewModel { name: "n".into(), is_named: false, source: "x".into(), revision: String::new(), files };
        assert_eq!(store.commit(&new).unwrap_err(), StoreError::BadName { file: path.into() });
    }
    let files = vec![ModelFile { path: "m".into(), bytes: 8, sha256: blob, urls: Vec::new() }];
    let new = NewModel { name: "../../n".into(), is_named: true, source: "x".into(), revision: String::new(), files };
    assert!(matches!(store.commit(&new).unwrap_err(), StoreError::MissingBlob { .. }));
}

#[test]
fn many_threads_with_stores_of_their_own_agree() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let root = &root;
            scope.spawn(move || {
                let store = BlobStore::open(root).unwrap();
                for round in 0..4_u8 {
                    place(&store, &format!("m{thread}"), &[round; 100]);
                    store.collect_garbage(Duration::from_secs(60)).unwrap();
                    assert!(states(&store, &format!("m{thread}")).iter().all(|(_, state)| *state == FileState::Whole));
                }
            });
        }
    });
    let store = BlobStore::open(&root).unwrap();
    let names: BTreeMap<String, u64> =
        store.models().unwrap().into_iter().map(|model| (model.manifest.name, model.bytes)).collect();
    assert_eq!(names, (0..8).map(|thread| (format!("m{thread}"), 100)).collect());
    assert_eq!(store.used_bytes().unwrap(), 100);
}
