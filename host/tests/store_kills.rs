//! The store when the world ends: killed at any moment, on a full disk, where nothing may be written, and shared by
//! several processes.

#![allow(clippy::print_stdout, reason = "how many of the runs did what is worth telling")]

mod common;
mod faulty;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use faulty::{Chance, Fault, REPO, Server, model};
use hearth_host::{
    ModelStore,
    store::{BlobId, BlobStore, FileState},
};
use serde_json::Value;

const CHUNK_BYTES: u64 = 4096;
const CONNECTIONS: u64 = 4;

/// How many kills there are of each kind; `HEARTH_KILLS` asks for more.
fn kills() -> usize {
    std::env::var("HEARTH_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(12)
}

fn hearth(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(args).stdin(Stdio::null()).env("HEARTH_STORE", root).env("HEARTH_DATA", root.join("data"));
    command.env("HEARTH_MODELS", common::models_dir());
    for name in ["RUST_LOG", "HF_TOKEN", "HF_ENDPOINT"] {
        command.env_remove(name);
    }
    command
}

fn pull(root: &Path, server: &Server) -> Command {
    let base = server.base();
    let mut command = hearth(root, &["pull", REPO, "--base-url", &base, "--chunk-size", "4K", "--request-size", "4K"]);
    command.args(["--connections", "4", "--backoff-ms", "1", "--json"]);
    command
}

fn done(mut command: Command) -> Vec<Value> {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn failed(mut command: Command) -> (String, String) {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let line = stdout.lines().last().unwrap_or_else(|| panic!("{stderr}"));
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["type"], "failed", "{stdout}");
    (line["message"].as_str().unwrap().to_owned(), line["hint"].as_str().unwrap().to_owned())
}

/// Ends a process at a moment that nobody chose; whether it was still at work.
fn kill_after(mut child: Child, delay: Duration) -> bool {
    let until = Instant::now() + delay;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    let _ = child.kill();
    !child.wait().unwrap().success()
}

/// The store opens, and whatever counts as complete has the bytes of its name.
fn require_sound(root: &Path) {
    let Some(store) = BlobStore::open_existing(root).unwrap() else { return };
    store.check_index().unwrap();
    for model in store.models().unwrap() {
        let states = store.verify(&model.manifest.name, &mut |_| Ok(())).unwrap();
        assert!(states.iter().all(|check| check.state == FileState::Whole), "{states:?}");
    }
    for folder in fs::read_dir(root.join("blobs/sha256")).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        for blob in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = format!("{}{}", folder.file_name().unwrap().display(), blob.file_name().unwrap().display());
            assert_eq!(BlobId::of(&fs::read(&blob).unwrap()).to_string(), name);
        }
    }
}

fn has(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> bool {
    files.iter().all(|(name, bytes)| fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

#[test]
fn a_download_that_is_killed_at_any_moment_goes_on_and_loses_a_chunk_a_connection() {
    let mut chance = Chance(std::process::id().into());
    // Many small files: much of the time is spent on taking places and on the list.
    let mut files = model(20, 150_000);
    for part in 1..=8 {
        files.insert(format!("model-{part:05}-of-00008.safetensors"), chance.bytes(20_000));
    }
    let server = Server::start(files.clone());
    let total_bytes: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
    let measured = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    done(pull(measured.path(), &server));
    let whole = begun.elapsed();

    let (mut kills_left, mut rounds) = (kills(), 0);
    while kills_left > 0 {
        rounds += 1;
        assert!(rounds <= 4 * kills(), "hardly any kill hits");
        let folder = tempfile::tempdir().unwrap();
        let before = server.body_bytes();
        let mut killed = 0;
        // Each further attempt has less to do.
        while kills_left > 0 && killed < 4 {
            let child = pull(folder.path(), &server).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let was_at_work = kill_after(child, whole.mul_f64(chance.below(1000) as f64 / 1000.0));
            require_sound(folder.path());
            // One that was done already counts for nothing.
            if !was_at_work {
                break;
            }
            kills_left -= 1;
            killed += 1;
        }
        done(pull(folder.path(), &server));
        require_sound(folder.path());
        let model = BlobStore::open(folder.path()).unwrap().model("tiny").unwrap();
        assert!(has(&model.folder, &files));
        let served_bytes = server.body_bytes() - before;
        let allowed_bytes = total_bytes + killed * CONNECTIONS * CHUNK_BYTES;
        assert!(served_bytes <= allowed_bytes, "{served_bytes} after {killed} kills, {allowed_bytes} are allowed");
    }
    println!("{} kills hit a download at work, in {rounds} rounds", kills());
}

#[test]
fn an_import_that_is_killed_at_any_moment_leaves_a_store_that_opens() {
    let mut chance = Chance(std::process::id().into());
    let own = tempfile::tempdir().unwrap();
    let files = model(21, 3_000_000);
    for (name, bytes) in &files {
        fs::write(own.path().join(name), bytes).unwrap();
    }
    let path = own.path().to_str().unwrap();
    let import = |root: &Path| hearth(root, &["models", "import", path, "--copy", "--name", "m", "--json"]);
    let measured = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    done(import(measured.path()));
    let whole = begun.elapsed();
    let folder = tempfile::tempdir().unwrap();
    let (mut hit, mut rounds) = (0, 0);
    while hit < kills() {
        rounds += 1;
        assert!(rounds <= 4 * kills(), "hardly any kill hits");
        let child = import(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        hit += usize::from(kill_after(child, whole.mul_f64(chance.below(1000) as f64 / 1000.0)));
        require_sound(folder.path());
        if chance.below(2) == 0 {
            done(hearth(folder.path(), &["models", "gc", "--all", "--json"]));
        }
    }
    println!("{hit} kills hit an import at work");
    done(import(folder.path()));
    let found = ModelStore::new([]).stored_in(folder.path()).find("m").unwrap();
    assert!(has(&found.folder, &files));
    done(hearth(folder.path(), &["models", "gc", "--all", "--json"]));
    assert_eq!(fs::read_dir(folder.path().join("partial")).unwrap().count(), 1, "the lock alone");
}

#[cfg(target_os = "linux")]
mod limits {
    use std::os::unix::process::CommandExt;

    use super::*;

    /// Lets a command write no file beyond a length: to the program that is like a disk that is full.
    fn limit_files(command: &mut Command, bytes: u64) {
        let limit = move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: both calls take plain numbers and a pointer to what lives here, and may be made between fork and
            // exec. Without the signal the write itself fails.
            let failed = unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) != 0
            };
            if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: as above: nothing in it allocates or locks.
        unsafe { command.pre_exec(limit) };
    }

    /// Takes the right to pass over permissions from a command, which it has if the tests run as root.
    fn obey_permissions(command: &mut Command) {
        const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
        let drop = || {
            // SAFETY: both take plain numbers, and may be called between fork and exec.
            let failed =
                unsafe { libc::geteuid() == 0 && libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) != 0 };
            if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: as above.
        unsafe { command.pre_exec(drop) };
    }

    #[test]
    fn a_full_disk_is_said_and_costs_nothing_that_is_there() {
        let server = Server::start(model(22, 1_000_000));
        let folder = tempfile::tempdir().unwrap();
        let mut limited = pull(folder.path(), &server);
        limit_files(&mut limited, 500_000);
        let (message, hint) = failed(limited);
        assert!(message.contains("no room") && hint.contains("Nothing is lost"), "{message} {hint}");
        require_sound(folder.path());
        done(pull(folder.path(), &server));
        let model = BlobStore::open(folder.path()).unwrap().model("tiny").unwrap();
        assert!(has(&model.folder, &server.files()));

        let own = tempfile::tempdir().unwrap();
        fs::write(own.path().join("config.json"), "{}").unwrap();
        fs::write(own.path().join("model.safetensors"), vec![1; 1_000_000]).unwrap();
        let path = own.path().to_str().unwrap();
        let mut limited = hearth(folder.path(), &["models", "import", path, "--copy", "--json"]);
        limit_files(&mut limited, 500_000);
        let (message, _) = failed(limited);
        assert!(message.contains("no room"), "{message}");
        require_sound(folder.path());
    }

    /// A disk that goes away with the test, however that ends.
    struct Mounted(std::path::PathBuf);

    impl Drop for Mounted {
        fn drop(&mut self) {
            let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
            assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
        }
    }

    #[test]
    fn a_disk_that_fills_up_midway_keeps_what_came() {
        // A disk of its own needs a right that only root has; without it the length limit above has to do.
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&disk).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("no disk could be mounted here: only the limit on the length of files was tried");
            return;
        }
        let _mounted = Mounted(disk.clone());
        let server = Server::start(model(23, 1_200_000));
        let root = disk.join("store");
        let filler = disk.join("filler");
        let mut seen = 0;
        let filling = filler.clone();
        server.faults(move |asked| {
            seen += u32::from(asked.range.is_some_and(|(_, last)| last > 0));
            if seen == 100 {
                // All that is left.
                let _ = fs::write(&filling, vec![1; 2 << 20]);
            }
            Fault::None
        });
        let before = server.body_bytes();
        let (message, hint) = failed(pull(&root, &server));
        let came_bytes = server.body_bytes() - before;
        fs::remove_file(&filler).unwrap();
        server.faults(|_| Fault::None);
        done(pull(&root, &server));
        let model = BlobStore::open(&root).unwrap().model("tiny").unwrap();
        let is_right = has(&model.folder, &server.files());
        let served_bytes = server.body_bytes() - before;
        assert!(message.contains("no room") && hint.contains("Nothing is lost"), "{message} {hint}");
        assert!(is_right && came_bytes > 200_000);
        let total_bytes: u64 = server.files().values().map(|bytes| bytes.len() as u64).sum();
        assert!(served_bytes <= total_bytes + (CONNECTIONS + 1) * CHUNK_BYTES, "{served_bytes} of {total_bytes}");
    }

    #[test]
    fn a_store_that_may_only_be_read_lists_and_finds_and_refuses_the_rest() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let server = Server::start(model(24, 10_000));
        done(pull(&root, &server));
        let all = |mode: u32| {
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                    if entry.is_dir() {
                        folders.push(entry);
                    } else {
                        fs::set_permissions(&entry, fs::Permissions::from_mode(mode & 0o666)).unwrap();
                    }
                }
                fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        all(0o555);
        let run = |args: &[&str]| {
            let mut command = hearth(&root, args);
            command.env("HEARTH_DATA", folder.path().join("data"));
            obey_permissions(&mut command);
            command
        };
        let verified = done(run(&["models", "verify", "--json"]));
        let listed = done(run(&["models", "--device", "cpu", "--json"]));
        let refusals: Vec<_> = [
            &["models", "remove", "tiny", "--json"][..],
            &["models", "pin", "tiny", "--json"],
            &["models", "gc", "--json"],
            &["pull", "tiny", "--json"],
            &["models", "repair", "tiny", "--json"],
        ]
        .iter()
        .map(|args| failed(run(args)))
        .collect();
        all(0o755);
        assert_eq!(verified[0]["is_whole"], true);
        let models = listed[0]["models"].as_array().unwrap();
        let tiny = models.iter().find(|model| model["name"] == "tiny").unwrap();
        assert_eq!((&tiny["stored"]["state"], &tiny["stored"]["is_pinned"]), (&"whole".into(), &false.into()));
        for (message, hint) in refusals {
            assert!(message.contains("may only be read") && hint.contains("HEARTH_STORE"), "{message} {hint}");
        }
        require_sound(&root);
    }
}

#[test]
fn processes_that_pull_import_and_collect_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let server = Server::start(model(25, 100_000));
    let own = tempfile::tempdir().unwrap();
    for (name, bytes) in server.files() {
        fs::write(own.path().join(name), bytes).unwrap();
    }
    let path = own.path().to_str().unwrap();
    let mut children = Vec::new();
    for round in 0..3 {
        let name = format!("own-{round}");
        children.push(pull(&root, &server));
        children.push(hearth(&root, &["models", "import", path, "--copy", "--name", &name, "--json"]));
        children.push(hearth(&root, &["models", "gc", "--json"]));
    }
    let children: Vec<Child> = children
        .into_iter()
        .map(|mut child| child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
    }
    require_sound(&root);
    let store = BlobStore::open(&root).unwrap();
    assert_eq!(store.models().unwrap().len(), 4);
    let total_bytes: u64 = server.files().values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(store.used_bytes().unwrap(), total_bytes, "each file is there once");
}
