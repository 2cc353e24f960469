//! The journal of an unfinished file: what it is to become, and which of its chunks are on the disk.
//!
//! A header, then records of 48 bytes, only ever added at the end; each is on the disk before the next step is taken.
//! Everything carries a check, so that what a loss of power left half written is told from what counts.
//! `docs/store.md` shows it byte by byte.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use crate::store::BlobId;

const MAGIC: [u8; 8] = *b"HRTHJNL1";
const RECORD_BYTES: usize = 48;
const CHECK_BYTES: usize = 8;
/// The header without the identity and the check.
const FIXED_BYTES: usize = 24;
const IDENTITY_BYTES_MAX: usize = 4096;

const CHUNK: u32 = 1;
const WHOLE: u32 = 2;
const TAG: u32 = 3;

/// What a file is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub chunk_bytes: u32,
    pub file_bytes: u64,
    /// What tells this state of the file from another: its hash, or what its server gives for one.
    pub identity: String,
}

/// What the journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub head: Head,
    /// Each chunk that is on the disk, with the hash of its bytes.
    pub chunks: BTreeMap<u64, [u8; 32]>,
    /// The hash of all bytes, once they were checked.
    pub whole: Option<BlobId>,
    /// The hash of the address and its entity tag.
    pub tag: Option<[u8; 32]>,
}

/// The file, open to be added to.
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal, and reads what counts of it; `None` if it says nothing.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Said>)> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let said = read(&bytes);
        if let Some((_, counted_bytes)) = &said {
            // What is half written at the end would stand in the way of what comes.
            file.set_len(*counted_bytes as u64)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok((Self { file }, said.map(|(said, _)| said)))
    }

    /// What a journal says that another process may be adding to.
    pub(super) fn peek(path: &Path) -> Option<Said> {
        read(&std::fs::read(path).ok()?).map(|(said, _)| said)
    }

    /// Begins anew, with these chunks.
    pub(super) fn begin(&mut self, head: &Head, chunks: &BTreeMap<u64, [u8; 32]>) -> io::Result<()> {
        let mut bytes = head_bytes(head);
        for (index, hash) in chunks {
            bytes.extend(record(CHUNK, *index, hash));
        }
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }

    pub(super) fn add_chunk(&mut self, index: u64, hash: &[u8; 32]) -> io::Result<()> {
        self.add(&record(CHUNK, index, hash))
    }

    pub(super) fn add_whole(&mut self, blob: &BlobId) -> io::Result<()> {
        self.add(&record(WHOLE, 0, &blob.0))
    }

    pub(super) fn add_tag(&mut self, tag: &[u8; 32]) -> io::Result<()> {
        self.add(&record(TAG, 0, tag))
    }

    fn add(&mut self, record: &[u8]) -> io::Result<()> {
        let before = self.file.stream_position()?;
        let added = self.file.write_all(record).and_then(|()| self.file.sync_data());
        if added.is_err() {
            // A full disk may take a part of it, behind which nothing would count.
            let _ = self.file.set_len(before).and_then(|()| self.file.seek(SeekFrom::Start(before)));
        }
        added
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    BlobId::of(bytes).0.first_chunk().copied().unwrap_or_default()
}

fn head_bytes(head: &Head) -> Vec<u8> {
    let identity = head.identity.as_bytes();
    let identity = identity.get(..IDENTITY_BYTES_MAX).unwrap_or(identity);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(head.chunk_bytes.to_le_bytes());
    bytes.extend(u32::try_from(identity.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(head.file_bytes.to_le_bytes());
    bytes.extend(identity);
    bytes.extend(check(&bytes));
    bytes
}

fn record(kind: u32, index: u64, hash: &[u8; 32]) -> Vec<u8> {
    // Chunks are numbered in 32 bits: of 4 MiB each, that is 16 PiB.
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(u32::try_from(index).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(hash);
    bytes.extend(check(&bytes));
    bytes
}

/// What the bytes say, and how many of them count.
fn read(bytes: &[u8]) -> Option<(Said, usize)> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
    let long = |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
    if bytes.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    let (chunk_bytes, identity_bytes, file_bytes) = (word(8)?, usize::try_from(word(12)?).ok()?, long(16)?);
    let end = FIXED_BYTES + identity_bytes;
    if identity_bytes > IDENTITY_BYTES_MAX
        || chunk_bytes == 0
        || bytes.get(end..end + CHECK_BYTES)? != check(bytes.get(..end)?)
    {
        return None;
    }
    let identity = str::from_utf8(bytes.get(FIXED_BYTES..end)?).ok()?.to_owned();
    let head = Head { chunk_bytes, file_bytes, identity };
    let mut said = Said { head, chunks: BTreeMap::new(), whole: None, tag: None };
    let mut counted_bytes = end + CHECK_BYTES;
    let (records, _) = bytes.get(counted_bytes..)?.as_chunks::<RECORD_BYTES>();
    for record in records {
        let (content, own_check) = record.split_at(RECORD_BYTES - CHECK_BYTES);
        if own_check != check(content) {
            break;
        }
        let (kind, index) = (word(counted_bytes)?, word(counted_bytes + 4)?);
        let hash = content.last_chunk::<32>().copied()?;
        match kind {
            CHUNK => drop(said.chunks.insert(u64::from(index), hash)),
            WHOLE => said.whole = Some(BlobId(hash)),
            TAG => said.tag = Some(hash),
            _ => break,
        }
        counted_bytes += RECORD_BYTES;
    }
    Some((said, counted_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (tempfile::TempDir, std::path::PathBuf, Said) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.journal");
        let head = Head { chunk_bytes: 16, file_bytes: 40, identity: "sha256:é".to_owned() };
        let (mut journal, said) = Journal::open(&path).unwrap();
        assert_eq!(said, None);
        journal.begin(&head, &BTreeMap::new()).unwrap();
        journal.add_tag(&[9; 32]).unwrap();
        journal.add_chunk(2, &[2; 32]).unwrap();
        journal.add_chunk(0, &[1; 32]).unwrap();
        journal.add_whole(&BlobId([7; 32])).unwrap();
        let chunks = BTreeMap::from([(0, [1; 32]), (2, [2; 32])]);
        (folder, path, Said { head, chunks, whole: Some(BlobId([7; 32])), tag: Some([9; 32]) })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (_folder, path, said) = sample();
        assert_eq!(Journal::open(&path).unwrap().1, Some(said));
    }

    #[test]
    fn of_a_journal_that_is_cut_anywhere_the_whole_records_count() {
        let (_folder, path, _) = sample();
        let bytes = std::fs::read(&path).unwrap();
        let head_bytes = bytes.len() - 4 * RECORD_BYTES;
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut journal, said) = Journal::open(&path).unwrap();
            let Some(whole) = cut.checked_sub(head_bytes).map(|rest| rest / RECORD_BYTES) else {
                assert_eq!(said, None, "{cut}");
                continue;
            };
            let said = said.unwrap();
            assert_eq!(said.chunks.len(), whole.saturating_sub(1).min(2), "{cut}");
            // What is added lies behind what counts.
            journal.add_chunk(1, &[5; 32]).unwrap();
            let again = Journal::open(&path).unwrap().1.unwrap();
            assert_eq!(again.chunks.len(), said.chunks.len() + 1, "{cut}");
        }
    }

    #[test]
    fn a_flipped_bit_ends_what_counts() {
        let (_folder, path, said) = sample();
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            if let Some(read) = Journal::open(&path).unwrap().1 {
                assert!(read.head == said.head && read != said, "{at}");
                assert!(read.chunks.iter().all(|chunk| said.chunks.get(chunk.0) == Some(chunk.1)), "{at}");
            }
        }
    }
}
