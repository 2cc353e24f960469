//! Models by name and by path.

mod common;

use std::path::{Path, PathBuf};

use common::{MODEL, models_dir};
use hearth_engine::Error;
use hearth_host::{ModelStore, read_model_file, respond};
use http::{Method, Request, StatusCode, header};
use tempfile::TempDir;

/// A folder with a registry and two models of one small file each.
fn registry() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let models = r#"{"bundled": "small", "models": [{"name": "small"}, {"name": "packed", "file": "packed.gguf"}]}"#;
    write("registry.json", models);
    write("small/config.json", "0123456789");
    write("small/.hidden", "secret");
    write("packed/packed.gguf", "GGUF");
    write("packed/notes.txt", "private");
    write("outside.txt", "secret");
    write("unlisted/config.json", "secret");
    folder
}

fn store(folder: &TempDir) -> ModelStore {
    ModelStore::new([PathBuf::from("/absent"), folder.path().to_owned()])
}

#[test]
fn the_bundled_model_is_taken_when_none_is_named() {
    let store = ModelStore::new([models_dir()]);
    assert_eq!(store.find("").unwrap(), store.find(MODEL).unwrap());
    assert!(store.find("").unwrap().folder.join("config.json").is_file());
}

#[test]
fn the_source_tree_is_among_the_usual_folders() {
    let store = ModelStore::new(ModelStore::usual_folders(None));
    assert_eq!(store.find("").unwrap().name, MODEL);
    let resources = Path::new("/resources");
    assert!(ModelStore::usual_folders(Some(resources)).contains(&resources.join("models")));
}

#[test]
fn a_wrong_name_is_answered_with_the_right_ones() {
    let folder = registry();
    let error = store(&folder).find("large").unwrap_err();
    let expected = Error::UnknownModel { model: "large".into(), available: "small, packed".into() };
    assert_eq!(error, expected);
    let error = ModelStore::default().find("").unwrap_err();
    assert_eq!(error, Error::UnknownModel { model: String::new(), available: "none".into() });
}

#[test]
fn paths_are_found_only_where_they_are_allowed() {
    let folder = registry();
    let store = store(&folder);
    let small = folder.path().join("small");
    let path = small.to_str().unwrap();
    assert!(matches!(store.find(path).unwrap_err(), Error::UnknownModel { .. }));
    let store = store.allow_paths(true);
    assert_eq!(store.find(path).unwrap().name, "small");
    let gguf = folder.path().join("packed/packed.gguf");
    let found = store.find(gguf.to_str().unwrap()).unwrap();
    assert_eq!((found.name.as_str(), found.file.as_deref()), ("packed", Some("packed.gguf")));
    assert!(matches!(store.find("/absent/model").unwrap_err(), Error::UnknownModel { .. }));
    let text = folder.path().join("outside.txt");
    assert!(matches!(store.find(text.to_str().unwrap()).unwrap_err(), Error::Malformed { .. }));
}

#[test]
fn a_chosen_model_stands_for_none() {
    let folder = registry();
    let gguf = folder.path().join("packed/packed.gguf");
    let chosen = store(&folder).choose(gguf.to_str().unwrap()).unwrap();
    assert_eq!(chosen.find("").unwrap().file.as_deref(), Some("packed.gguf"));
    assert_eq!(chosen.registry().unwrap().bundled.as_deref(), Some("packed"));
    assert_eq!(chosen.find("small").unwrap().name, "small");
    assert!(matches!(store(&folder).choose("large").unwrap_err(), Error::UnknownModel { .. }));
}

#[test]
fn a_registry_that_is_damaged_or_hostile_is_refused() {
    let folder = registry();
    let path = folder.path().join("registry.json");
    std::fs::write(&path, r#"{"models": [{"name": "../outside"}]}"#).unwrap();
    assert!(matches!(store(&folder).find("../outside").unwrap_err(), Error::Malformed { .. }));
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(store(&folder).find("small").unwrap_err(), Error::Malformed { .. }));
}

#[test]
fn files_are_read_in_ranges() {
    let folder = registry();
    let store = store(&folder);
    let read = |range| read_model_file(&store, "small", "config.json", range).map(|read| (read.bytes, read.range));
    assert_eq!(read(None).unwrap(), (b"0123456789".to_vec(), 0..10));
    assert_eq!(read(Some(2..5)).unwrap(), (b"234".to_vec(), 2..5));
    assert_eq!(read(Some(8..100)).unwrap(), (b"89".to_vec(), 8..10));
    assert!(matches!(read(Some(11..12)).unwrap_err(), Error::Truncated { available_bytes: 10, .. }));
    let absent = read_model_file(&store, "small", "absent.json", None).unwrap_err();
    assert_eq!(absent, Error::MissingFile { file: "absent.json".into() });
}

#[test]
fn nothing_but_a_models_own_files_is_read() {
    let folder = registry();
    let store = store(&folder).allow_paths(true);
    let absolute = folder.path().join("unlisted");
    let attempts = [
        ("small", "../outside.txt"),
        ("small", "..\\outside.txt"),
        ("small", ".hidden"),
        ("small", ""),
        ("small", "/etc/hostname"),
        ("packed", "notes.txt"),
        ("..", "outside.txt"),
        (".", "outside.txt"),
        ("unlisted", "config.json"),
        (absolute.to_str().unwrap(), "config.json"),
    ];
    for (model, file) in attempts {
        let answer = read_model_file(&store, model, file, None);
        assert!(
            matches!(answer, Err(Error::MissingFile { .. } | Error::UnknownModel { .. })),
            "{model} {file}: {answer:?}"
        );
    }
}

/// The status, the headers of interest and the body of an answer.
fn ask(store: &ModelStore, method: Method, path: &str, range: Option<&str>) -> (StatusCode, [String; 3], Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(range) = range {
        request = request.header(header::RANGE, range);
    }
    let response = respond(store, &request.body(()).unwrap());
    let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let headers = [header::CONTENT_TYPE, header::CONTENT_RANGE, header::CONTENT_LENGTH].map(header);
    (response.status(), headers, response.into_body())
}

#[test]
fn a_custom_scheme_is_answered_in_ranges() {
    let folder = registry();
    let store = store(&folder);
    let get = |path: &str, range: Option<&str>| ask(&store, Method::GET, path, range);

    let (status, [kind, _, length], body) = get("hearth://localhost/models/small/config.json", None);
    assert_eq!((status, kind.as_str(), length.as_str()), (StatusCode::OK, "application/json", "10"));
    assert_eq!(body, b"0123456789");

    for (range, bytes, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let (status, [_, found, length], body) = get("/small/config.json", Some(range));
        assert_eq!(status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!((found.as_str(), body.as_slice()), (content_range, bytes.as_bytes()), "{range}");
        assert_eq!(length, bytes.len().to_string(), "{range}");
    }

    let (status, [_, found, _], body) = get("/small/config.json", Some("bytes=10-"));
    assert_eq!((status, found.as_str(), body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10", 0));

    let (status, [_, _, length], body) = ask(&store, Method::HEAD, "/small/config.json", None);
    assert_eq!((status, length.as_str(), body.len()), (StatusCode::OK, "10", 0));

    for path in ["/small/absent.json", "/small/../outside.txt", "/large/config.json", "/small", "/small/%2e%2e/x"] {
        assert_eq!(get(path, None).0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(ask(&store, Method::POST, "/small/config.json", None).0, StatusCode::METHOD_NOT_ALLOWED);
    assert!(String::from_utf8(get("/models/registry.json", None).2).unwrap().contains("\"bundled\":\"small\""));
}

/// A folder of a person's own: a model in Hugging Face layout with other things beside it, and GGUF files.
fn own_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for file in
        ["config.json", "tokenizer.json", "merges.txt", "spiece.model", "chat_template.jinja", "1_Pooling/config.json"]
    {
        write(&format!("model/{file}"), "own");
    }
    write("blobs/0123", "own");
    for file in
        ["passwords.txt", "diary.json", "key.pem", ".env", "2_Dense/config.json", "onnx/model.onnx", "other.gguf"]
    {
        write(&format!("model/{file}"), "private");
    }
    for part in 1..=3 {
        write(&format!("files/a-0000{part}-of-00003.gguf"), "own");
    }
    for file in [
        "files/a-00001-of-00002.gguf",
        "files/b-00001-of-00003.gguf",
        "files/a.gguf",
        "files/mmproj-a.gguf",
        "files/config.json",
        "files/tokenizer.json",
        "secret",
    ] {
        write(file, "private");
    }
    write("files/single.gguf", "own");
    folder
}

/// A store that remembers what is added to it.
fn adding(folder: &TempDir) -> ModelStore {
    ModelStore::new([]).allow_adding(true).remember_in(folder.path().join("memory/models.json"))
}

/// Adds the model at a path in the folder.
fn add(store: &ModelStore, folder: &TempDir, path: &str) -> String {
    store.add(folder.path().join(path).to_str().unwrap()).unwrap()
}

/// The body that a path is answered with; the status of a refusal.
fn body(store: &ModelStore, path: &str) -> Result<String, StatusCode> {
    let (status, _, body) = ask(store, Method::GET, path, None);
    if status == StatusCode::OK { Ok(String::from_utf8(body).unwrap()) } else { Err(status) }
}

#[test]
fn of_an_added_folder_nothing_but_the_models_own_files_is_served() {
    let folder = own_folder();
    let store = adding(&folder);
    let name = add(&store, &folder, "model/config.json");
    assert_eq!(name, "model");
    for file in
        ["config.json", "tokenizer.json", "merges.txt", "spiece.model", "chat_template.jinja", "1_Pooling/config.json"]
    {
        assert_eq!(body(&store, &format!("/model/{file}")), Ok("own".into()), "{file}");
    }
    // A separator that is written as a code names the same file.
    assert_eq!(body(&store, "/model%2Fconfig.json"), Ok("own".into()));
    for file in [
        "passwords.txt",
        "diary.json",
        "key.pem",
        ".env",
        "other.gguf",
        "2_Dense/config.json",
        "onnx/model.onnx",
        "absent.safetensors",
        "",
        ".",
        "..",
        "../secret",
        "..%2Fsecret",
        "%2e%2e/secret",
        "%2E%2E%2Fsecret",
        "..%5Csecret",
        "..%252Fsecret",
        "%c0%ae%c0%ae/secret",
        "1_Pooling/../../secret",
        "1_Pooling/..%2F..%2Fblobs/0123",
        "./config.json",
        "/config.json",
        "%2Fetc%2Fhostname",
        "config.json/",
        "config.json%00",
        "config.json%00.txt",
        "CONFIG.JSON",
    ] {
        assert_eq!(body(&store, &format!("/model/{file}")), Err(StatusCode::NOT_FOUND), "{file:?}");
        let read = read_model_file(&store, "model", file, None);
        assert!(matches!(read, Err(Error::MissingFile { .. })), "{file:?}: {read:?}");
    }
}

#[test]
fn beside_an_added_gguf_only_its_own_parts_are_served() {
    let folder = own_folder();
    let store = adding(&folder);
    // Any part stands for all of them.
    assert_eq!(add(&store, &folder, "files/a-00002-of-00003.gguf"), "a");
    assert_eq!(add(&store, &folder, "files/single.gguf"), "single");
    for part in 1..=3 {
        assert_eq!(body(&store, &format!("/a/a-0000{part}-of-00003.gguf")), Ok("own".into()));
    }
    assert_eq!(body(&store, "/single/single.gguf"), Ok("own".into()));
    for (model, file) in [
        ("a", "a-00004-of-00003.gguf"),
        ("a", "a-00001-of-00002.gguf"),
        ("a", "b-00001-of-00003.gguf"),
        ("a", "a.gguf"),
        ("a", "single.gguf"),
        ("a", "mmproj-a.gguf"),
        ("a", "config.json"),
        ("a", "tokenizer.json"),
        ("a", "../secret"),
        ("a", "..%2Fsecret"),
        ("single", "a-00001-of-00003.gguf"),
        ("single", "config.json"),
        ("single", "single.gguf/../a.gguf"),
        ("files", "single.gguf"),
        ("..", "secret"),
        ("%2e%2e", "secret"),
    ] {
        assert_eq!(body(&store, &format!("/{model}/{file}")), Err(StatusCode::NOT_FOUND), "{model} {file}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_only_under_a_name_that_a_model_has() {
    use std::os::unix::fs::symlink;

    let folder = own_folder();
    let inside = |path: &str| folder.path().join("model").join(path);
    // As the cache of Hugging Face's own tools lays a model down.
    symlink("../blobs/0123", inside("model.safetensors")).unwrap();
    symlink("../secret", inside("secret")).unwrap();
    symlink("../secret", inside("secret.txt")).unwrap();
    symlink("..", inside("above")).unwrap();
    symlink("nowhere", inside("vocab.json")).unwrap();
    symlink("../blobs", inside("tokenizer.model")).unwrap();
    let store = adding(&folder);
    assert_eq!(add(&store, &folder, "model/config.json"), "model");
    assert_eq!(body(&store, "/model/model.safetensors"), Ok("own".into()));
    for file in ["secret", "secret.txt", "above/secret", "above/blobs/0123", "above", "vocab.json", "tokenizer.model"] {
        assert_eq!(body(&store, &format!("/model/{file}")), Err(StatusCode::NOT_FOUND), "{file}");
    }
}

#[test]
fn what_is_removed_or_gone_is_served_no_more() {
    let folder = own_folder();
    let store = adding(&folder);
    add(&store, &folder, "files/single.gguf");
    add(&store, &folder, "model/config.json");
    std::fs::remove_file(folder.path().join("files/single.gguf")).unwrap();
    let missing = |store: &ModelStore| -> Vec<(String, bool)> {
        store.list().unwrap().models.into_iter().map(|model| (model.name, model.is_missing)).collect()
    };
    assert_eq!(missing(&store), [("single".to_owned(), true), ("model".to_owned(), false)]);
    assert_eq!(body(&store, "/single/single.gguf"), Err(StatusCode::NOT_FOUND));
    store.remove("single").unwrap();
    store.remove("model").unwrap();
    assert_eq!(missing(&store), []);
    assert_eq!(body(&store, "/model/config.json"), Err(StatusCode::NOT_FOUND));
    assert!(folder.path().join("model/config.json").is_file(), "the files stay where they are");
}
