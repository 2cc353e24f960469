//! Compiled shaders on disk, a file for each adapter and driver. It is a cache: whatever goes wrong with it costs time
//! and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// More than any driver gave out; a file beyond that is not ours.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Where they are kept: in `HEARTH_DATA`, or where the system keeps caches.
pub fn folder() -> Option<PathBuf> {
    let chosen = std::env::var_os("HEARTH_DATA").map(PathBuf::from);
    let folder = chosen.or_else(|| Some(dirs::cache_dir()?.join("org.hearth.Hearth")))?;
    Some(folder.join("pipelines"))
}

/// What was kept under a name.
pub fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let path = folder.join(file_name(name));
    let is_ours = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= FILE_BYTES_MAX);
    if is_ours { fs::read(path).ok() } else { None }
}

/// Keeps bytes under a name, unless they are there already. Two processes may do so at once: each writes a file of its
/// own and puts it in place whole.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    if bytes.len() as u64 > FILE_BYTES_MAX || read(folder, name).is_some_and(|kept| kept == bytes) {
        return;
    }
    if let Err(error) = write_whole(folder, &file_name(name), bytes) {
        tracing::debug!(%error, folder = %folder.display(), "compiled shaders are not kept");
    }
}

fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let own = folder.join(format!("{name}.{}", std::process::id()));
    fs::write(&own, bytes)?;
    fs::rename(&own, folder.join(name)).inspect_err(|_| {
        // It would only lie about.
        let _ = fs::remove_file(&own);
    })
}

/// A name that is one on every file system.
fn file_name(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect::<String>() + ".bin"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        assert_eq!(read(&inner, "adapter"), None);
        write(&inner, "adapter", b"one");
        write(&inner, "../other", b"two");
        assert_eq!(read(&inner, "adapter").as_deref(), Some(&b"one"[..]));
        write(&inner, "adapter", b"three");
        assert_eq!(read(&inner, "adapter").as_deref(), Some(&b"three"[..]));
        let mut names: Vec<_> = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".._other.bin", "adapter.bin"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        write(&file, "adapter", b"one");
        assert_eq!(read(&file, "adapter"), None);
    }
}
