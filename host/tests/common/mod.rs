//! What the tests share: the bundled model, damaged copies of it, and the command under test.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The bundled model's name.
pub const MODEL: &str = "hearth-tiny";

/// The folder with the registry.
pub fn models_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

/// A folder with the bundled model's files, for a test to damage.
pub struct ModelCopy {
    folder: TempDir,
}

impl ModelCopy {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(models_dir().join(MODEL)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn argument(&self) -> &str {
        self.path().to_str().unwrap()
    }

    pub fn remove(self, file: &str) -> Self {
        std::fs::remove_file(self.path().join(file)).unwrap();
        self
    }

    pub fn truncate(self, file: &str, len_bytes: u64) -> Self {
        let file = std::fs::File::options().write(true).open(self.path().join(file)).unwrap();
        file.set_len(len_bytes).unwrap();
        self
    }

    /// Rewrites a JSON file.
    pub fn edit(self, file: &str, change: impl FnOnce(&mut Value)) -> Self {
        let path = self.path().join(file);
        let mut value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(&path, value.to_string()).unwrap();
        self
    }
}

/// The command, away from whatever this machine has set.
pub fn hearth(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    let nothing = std::env::temp_dir().join("hearth-tests-remember-nothing");
    command.args(args).env("HEARTH_MODELS", models_dir()).env("HEARTH_DATA", nothing).env_remove("RUST_LOG");
    command
}

/// What a command printed, and how it ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Standard output as one JSON value a line.
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{}", self.stdout);
        lines.remove(0)
    }

    /// That it did what it was asked.
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// Runs the command on the CPU, so that no test depends on a GPU.
pub fn run(args: &[&str]) -> Ran {
    run_with_input(args, "")
}

pub fn run_with_input(args: &[&str], input: &str) -> Ran {
    let output = hearth(args).args(["--device", "cpu"]).write_stdin(input).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The names of an object's fields, in order.
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}
