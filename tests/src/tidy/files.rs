//! The files to check.

use std::{fs, path::PathBuf};

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// From the repository's root, with `/` between its parts.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file that git does not ignore, sorted by path.
pub fn source_files() -> Vec<SourceFile> {
    let root = repository();
    let walk = ignore::WalkBuilder::new(&root).hidden(false).require_git(false).build();
    let mut files: Vec<SourceFile> = walk
        .map(|entry| entry.expect("the repository can be listed"))
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("it lies within").to_string_lossy().replace('\\', "/");
            let wanted = !path.starts_with(".git/") && ENDINGS.iter().any(|ending| path.ends_with(ending));
            wanted.then(|| SourceFile { text: fs::read_to_string(entry.path()).expect("source is UTF-8"), path })
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Of text files that may be checked.
const ENDINGS: &[&str] =
    &[".rs", ".wgsl", ".ts", ".svelte", ".js", ".mjs", ".py", ".css", ".html", ".toml", "package-lock.json"];
