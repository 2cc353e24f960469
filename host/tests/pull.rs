//! `hearth pull` and what `hearth models` does with the store, as a person sees them.

mod common;
mod faulty;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use faulty::{COMMIT, Fault, REPO, Server, model};
use serde_json::Value;

fn hearth(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("HEARTH_STORE", root.join("store")).env("HEARTH_DATA", root.join("data"));
    command.env("HEARTH_MODELS", common::models_dir());
    for name in ["RUST_LOG", "HF_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command
}

fn ended(mut command: Command) -> (Option<i32>, String, String) {
    words(command.output().unwrap())
}

fn words(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn said(command: Command) -> String {
    let (code, stdout, stderr) = ended(command);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    stdout
}

fn json(command: Command) -> Value {
    serde_json::from_str(said(command).lines().last().unwrap()).unwrap()
}

#[test]
fn a_pulled_model_answers_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let own = common::models_dir().join(common::MODEL);
    let files: BTreeMap<String, Vec<u8>> = fs::read_dir(own)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    let server = Server::start(files);
    let root = folder.path();
    let pulled = said(hearth(root, &["pull", REPO, "--base-url", &server.base(), "--name", "mine"]));
    assert!(pulled.contains("mine is in the store") && pulled.contains("hearth chat --model mine"), "{pulled}");
    let ask = |model: &str| {
        said(hearth(root, &["complete", "Once", "-m", model, "--greedy", "--max-tokens", "4", "--device", "cpu"]))
    };
    assert_eq!(ask("mine"), ask(common::MODEL));
    let list = json(hearth(root, &["models", "--device", "cpu", "--json"]));
    let mine = list["models"].as_array().unwrap().iter().find(|model| model["name"] == "mine").unwrap().clone();
    assert_eq!(mine["stored"]["revision"], COMMIT);
    assert_eq!((&mine["stored"]["state"], &mine["is_missing"]), (&"whole".into(), &false.into()));
    let shown = said(hearth(root, &["models", "--device", "cpu"]));
    assert!(shown.contains("mine") && shown.contains("MiB from owner/tiny"), "{shown}");
    // By its name alone the newest state is fetched.
    let again = json(hearth(root, &["pull", "mine", "--base-url", &server.base(), "--json"]));
    assert_eq!((&again["type"], &again["model"]["name"]), (&"pulled".into(), &"mine".into()));
}

#[test]
fn the_store_is_looked_after_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let server = Server::start(model(30, 50_000));
    json(hearth(root, &["pull", REPO, "--base-url", &server.base(), "--chunk-size", "4K", "--json"]));
    let quota = json(hearth(root, &["models", "quota", "1M", "--json"]));
    assert_eq!((&quota["used_bytes"], &quota["quota_bytes"]), (&55_002.into(), &(1 << 20).into()));
    assert_eq!(json(hearth(root, &["models", "quota", "none", "--json"]))["quota_bytes"], Value::Null);
    assert!(said(hearth(root, &["models", "pin", "tiny"])).contains("tiny is pinned"));
    assert!(said(hearth(root, &["models", "--device", "cpu"])).contains("pinned"));
    assert!(said(hearth(root, &["models", "verify"])).contains("every byte is right"));

    let found = hearth_host::ModelStore::new([]).stored_in(root.join("store")).find("tiny").unwrap();
    let weights = found.folder.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    bytes[20_000] ^= 1;
    fs::File::options()
        .write(true)
        .open(&weights)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &bytes))
        .unwrap();
    let (code, stdout, stderr) = ended(hearth(root, &["models", "verify", "tiny"]));
    assert_eq!(code, Some(1));
    assert!(
        stdout.contains("1 chunks of 4.0 KiB are damaged") && stderr.contains("hearth models repair"),
        "{stdout}{stderr}"
    );
    assert!(said(hearth(root, &["models", "--device", "cpu"])).contains("(damaged: `hearth models repair tiny`)"));
    let repaired = json(hearth(root, &["models", "repair", "tiny", "--base-url", &server.base(), "--json"]));
    assert_eq!(repaired["fetched_bytes"], 4096);
    assert_eq!(json(hearth(root, &["models", "verify", "--json"]))["is_whole"], true);

    fs::write(root.join("store/index.sqlite"), "x".repeat(5000)).unwrap();
    let (code, _, stderr) = ended(hearth(root, &["models", "verify"]));
    assert!(code == Some(1) && stderr.contains("hearth models rebuild"), "{stderr}");
    assert_eq!(json(hearth(root, &["models", "rebuild", "--json"]))["models"], serde_json::json!(["tiny"]));
    assert!(said(hearth(root, &["models", "remove", "tiny"])).contains("53.7 KiB are free again"));
    assert_eq!(json(hearth(root, &["models", "gc", "--json"]))["freed"]["files"], 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_came_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(model(31, 200_000));
    // After some chunks the server waits for as long as the program lives.
    let mut chunks = 10;
    server.faults(move |asked| {
        chunks -= i32::from(asked.range.is_some_and(|(_, last)| last > 0));
        if chunks < 0 { Fault::Stall(0) } else { Fault::None }
    });
    let base = server.base();
    let args = ["pull", REPO, "--base-url", &base, "--chunk-size", "4K", "--request-size", "4K", "--connections", "2"];
    let child = hearth(folder.path(), &args).spawn().unwrap();
    // The list, two looks at small files, and more chunks than will come.
    server.wait_for_requests(12);
    // SAFETY: a plain system call with a process of this test's own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) }, 0);
    let (code, _, stderr) = words(child.wait_with_output().unwrap());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("what is there is kept") && stderr.contains("same command again"), "{stderr}");
    server.faults(|_| Fault::None);
    let before = server.body_bytes();
    said(hearth(folder.path(), &args));
    assert!(server.body_bytes() - before < 200_000);
}

#[test]
fn a_proxy_is_used_and_a_token_stays_out_of_sight() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(model(32, 5000));
    let mut command = hearth(folder.path(), &["pull", REPO, "-vvv", "--json"]);
    command.env("HTTP_PROXY", server.base()).env("HF_ENDPOINT", "http://models.example").env("HF_TOKEN", "hf_secret");
    let (code, stdout, stderr) = ended(command);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(server.asked().iter().all(|asked| asked.host == "models.example"));
    assert!(server.asked().iter().all(|asked| asked.authorization.as_deref() == Some("Bearer hf_secret")));
    assert!(!stdout.contains("hf_secret") && !stderr.contains("hf_secret"), "{stderr}");
}

#[test]
fn a_name_of_the_list_is_fetched_from_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(model(33, 5000));
    let registry = r#"{"bundled": "here", "models": [{"name": "here"}, {"name": "small", "source": "owner/tiny"}]}"#;
    fs::write(folder.path().join("registry.json"), registry).unwrap();
    let run = |name: &str| {
        let mut command = hearth(folder.path(), &["pull", name, "--base-url", &server.base(), "--json"]);
        command.env("HEARTH_MODELS", folder.path());
        ended(command)
    };
    assert_eq!(run("small").0, Some(0));
    for (name, words) in [("here", "on this machine already"), ("absent", "no model of the list has that name")] {
        let (code, stdout, _) = run(name);
        assert!(code == Some(1) && stdout.contains(words), "{stdout}");
    }
}
