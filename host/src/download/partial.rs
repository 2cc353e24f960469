//! An unfinished file: its bytes so far and its journal.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha1::Digest as _;

use super::{
    Result,
    journal::{Head, Journal, Said},
};
use crate::store::{BlobId, ChunkTable, Staged, StoreError};

/// How a file's bytes are checked once they are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The SHA-256 of the bytes.
    Sha256(BlobId),
    /// What git calls a file of these bytes: a SHA-1.
    Git([u8; 20]),
    /// Nobody tells.
    Nothing,
}

pub(super) struct Partial {
    path: PathBuf,
    journal_path: PathBuf,
    head: Head,
    file: RefCell<File>,
    journal: RefCell<(Journal, Said)>,
}

/// What a look at all bytes found out.
pub(super) enum Checked {
    /// They are what was promised.
    Right(Staged),
    /// The disk has not kept some of them; those are forgotten, and have to come again.
    Lost,
    /// They came as they are, and are something else.
    Wrong { expected: String, found: String },
}

impl Partial {
    /// Opens what there is of a file, or begins it. Says why what was there is of no use, if so.
    pub(super) fn open(folder: &Path, key: &str, head: Head) -> Result<(Self, Option<String>)> {
        let (path, journal_path) = (folder.join(format!("{key}.part")), folder.join(format!("{key}.journal")));
        let failed = |error: io::Error| StoreError::io(&path, &error);
        let (mut journal, said) =
            Journal::open(&journal_path).map_err(|error| StoreError::io(&journal_path, &error))?;
        let has_bytes = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == head.file_bytes);
        let fits = |said: &Said| said.head.file_bytes == head.file_bytes && said.head.identity == head.identity;
        let mut anew = None;
        let said = match said {
            // Chunks stay as long as they were.
            Some(said) if fits(&said) && has_bytes => said,
            other => {
                let had_chunks = other.as_ref().is_some_and(|said| !said.chunks.is_empty());
                let changed = other.is_some_and(|said| !fits(&said));
                anew = (had_chunks && changed).then(|| "it changed at its source since the last attempt".to_owned());
                journal.begin(&head, &BTreeMap::new()).map_err(|error| StoreError::io(&journal_path, &error))?;
                Said { head, chunks: BTreeMap::new(), whole: None, tag: None }
            }
        };
        let head = said.head.clone();
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        file.set_len(head.file_bytes).map_err(failed)?;
        Ok((Self { path, journal_path, head, file: RefCell::new(file), journal: RefCell::new((journal, said)) }, anew))
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.head.file_bytes
    }

    pub(super) fn chunk_bytes(&self) -> u32 {
        self.head.chunk_bytes
    }

    /// The hash of a chunk that is here.
    pub(super) fn chunk(&self, index: u64) -> Option<[u8; 32]> {
        self.journal.borrow().1.chunks.get(&index).copied()
    }

    /// How many bytes an earlier attempt left of a file.
    pub(super) fn peek_bytes(folder: &Path, key: &str) -> u64 {
        let said = Journal::peek(&folder.join(format!("{key}.journal")));
        let of_chunk = |said: &Said, index: u64| ChunkTable::place(index, said.head.file_bytes, said.head.chunk_bytes);
        said.map_or(0, |said| {
            said.chunks.keys().filter_map(|index| of_chunk(&said, *index)).map(|(_, bytes)| u64::from(bytes)).sum()
        })
    }

    /// The hash of all bytes, if an earlier attempt got as far as to check them.
    pub(super) fn peek_whole(folder: &Path, key: &str, head: &Head) -> Option<BlobId> {
        let said = Journal::peek(&folder.join(format!("{key}.journal")))?;
        said.whole.filter(|_| said.head.identity == head.identity && said.head.file_bytes == head.file_bytes)
    }

    /// How many bytes are here.
    pub(super) fn held_bytes(&self) -> u64 {
        let place = |index: &u64| ChunkTable::place(*index, self.head.file_bytes, self.head.chunk_bytes);
        self.journal.borrow().1.chunks.keys().filter_map(place).map(|(_, bytes)| u64::from(bytes)).sum()
    }

    /// Whether a tag is the one that the journal knows; one that it does not know yet it learns.
    pub(super) fn fits_tag(&self, tag: [u8; 32]) -> Result<bool> {
        let mut held = self.journal.borrow_mut();
        let (journal, said) = &mut *held;
        if let Some(known) = said.tag {
            return Ok(known == tag);
        }
        journal.add_tag(&tag).map_err(|error| StoreError::io(&self.journal_path, &error))?;
        said.tag = Some(tag);
        Ok(true)
    }

    /// Writes a chunk: first its bytes to the disk, then its hash into the journal.
    pub(super) fn write(&self, index: u64, bytes: &[u8]) -> Result<()> {
        let Some((offset, _)) = ChunkTable::place(index, self.head.file_bytes, self.head.chunk_bytes) else {
            return Ok(());
        };
        let hash = BlobId::of(bytes).0;
        let write = || -> io::Result<()> {
            let mut file = self.file.borrow_mut();
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write().map_err(|error| StoreError::io(&self.path, &error))?;
        let mut held = self.journal.borrow_mut();
        held.0.add_chunk(index, &hash).map_err(|error| StoreError::io(&self.journal_path, &error))?;
        held.1.chunks.insert(index, hash);
        Ok(())
    }

    /// Forgets all chunks.
    pub(super) fn wipe(&self) -> Result<()> {
        let mut held = self.journal.borrow_mut();
        let (journal, said) = &mut *held;
        *said = Said { head: self.head.clone(), chunks: BTreeMap::new(), whole: None, tag: None };
        journal.begin(&self.head, &said.chunks).map_err(|error| StoreError::io(&self.journal_path, &error))?;
        Ok(())
    }

    /// Reads all bytes and compares them with what was promised.
    pub(super) fn check(&self, wanted: &Check) -> Result<Checked> {
        let staged = Staged::from_file(self.path.clone(), self.head.chunk_bytes)?;
        let (expected, found) = match wanted {
            Check::Sha256(expected) => (expected.to_string(), staged.blob.to_string()),
            Check::Git(expected) => (hex(expected), hex(&git_id(&self.path)?)),
            Check::Nothing => (String::new(), String::new()),
        };
        let mut held = self.journal.borrow_mut();
        let (journal, said) = &mut *held;
        let count = said.chunks.len();
        let hashes = &staged.table.hashes;
        let is_kept =
            |index: u64, hash: &[u8; 32]| usize::try_from(index).ok().and_then(|at| hashes.get(at)) == Some(hash);
        said.chunks.retain(|index, hash| is_kept(*index, hash));
        let failed = |error: io::Error| StoreError::io(&self.journal_path, &error);
        if said.chunks.len() < count {
            journal.begin(&self.head, &said.chunks).map_err(failed)?;
            (said.whole, said.tag) = (None, None);
            return Ok(Checked::Lost);
        }
        if expected != found {
            return Ok(Checked::Wrong { expected, found });
        }
        journal.add_whole(&staged.blob).map_err(failed)?;
        said.whole = Some(staged.blob);
        Ok(Checked::Right(staged))
    }
}

/// What git calls a file of these bytes.
pub(super) fn git_id(path: &Path) -> Result<[u8; 20]> {
    let read = || -> io::Result<[u8; 20]> {
        let mut file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut hash = sha1::Sha1::new();
        hash.update(format!("blob {file_bytes}\0"));
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hash.finalize().into()),
                read => hash.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    };
    Ok(read().map_err(|error| StoreError::io(path, &error))?)
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_id_that_git_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        fs::write(&path, "hello\n").unwrap();
        // echo hello | git hash-object --stdin
        assert_eq!(hex(&git_id(&path).unwrap()), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn bytes_that_the_disk_lost_come_again_and_wrong_ones_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let head = Head { chunk_bytes: 4, file_bytes: 10, identity: "x".into() };
        let wanted = Check::Sha256(BlobId::of(b"0123456789"));
        let (partial, _) = Partial::open(folder.path(), "k", head.clone()).unwrap();
        for (index, bytes) in [(0, &b"0123"[..]), (2, b"89"), (1, b"4567")] {
            partial.write(index, bytes).unwrap();
        }
        drop(partial);
        let mut file = File::options().write(true).open(folder.path().join("k.part")).unwrap();
        file.write_all(b"x").unwrap();
        let (partial, anew) = Partial::open(folder.path(), "k", head.clone()).unwrap();
        assert_eq!((partial.held_bytes(), anew), (10, None));
        assert!(matches!(partial.check(&wanted).unwrap(), Checked::Lost));
        assert_eq!((partial.chunk(0), partial.held_bytes()), (None, 6));
        partial.write(0, b"0123").unwrap();
        assert!(matches!(partial.check(&Check::Git([0; 20])).unwrap(), Checked::Wrong { .. }));
        assert!(matches!(partial.check(&wanted).unwrap(), Checked::Right(staged) if staged.bytes == 10));
        drop(partial);
        assert_eq!(Partial::peek_whole(folder.path(), "k", &head), Some(BlobId::of(b"0123456789")));
        let other = Head { identity: "y".into(), ..head };
        assert_eq!(Partial::peek_whole(folder.path(), "k", &other), None);
        let (partial, anew) = Partial::open(folder.path(), "k", other).unwrap();
        assert!(anew.is_some() && partial.held_bytes() == 0);
    }
}
