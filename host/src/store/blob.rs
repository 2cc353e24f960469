//! Hashes: of a whole file, which is its name, and of its chunks, by which damage is found and mended in part.

use std::{
    fmt,
    io::{self, Read},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// How long a chunk is, unless a test wants them shorter.
pub const CHUNK_BYTES: u32 = 4 << 20;

/// The SHA-256 of a file's bytes, and so its name in the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl BlobId {
    /// Of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct NoBlobId;

impl FromStr for BlobId {
    type Err = NoBlobId;

    fn from_str(text: &str) -> Result<Self, NoBlobId> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoBlobId);
        }
        let mut id = [0; 32];
        for (index, byte) in id.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2).ok_or(NoBlobId)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoBlobId)?;
        }
        Ok(Self(id))
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The hashes of a file's chunks, all of one length but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkTable {
    /// How long a chunk is.
    pub chunk_bytes: u32,
    /// Each chunk's SHA-256.
    pub hashes: Vec<[u8; 32]>,
}

impl ChunkTable {
    /// How many chunks a file of a length has.
    pub fn count(file_bytes: u64, chunk_bytes: u32) -> u64 {
        file_bytes.div_ceil(u64::from(chunk_bytes.max(1)))
    }

    /// Where a chunk begins and how long it is; `None` if there is no such chunk.
    pub fn place(index: u64, file_bytes: u64, chunk_bytes: u32) -> Option<(u64, u32)> {
        let offset = index.checked_mul(u64::from(chunk_bytes))?;
        let left = file_bytes.checked_sub(offset).filter(|left| *left > 0)?;
        Some((offset, u32::try_from(left).map_or(chunk_bytes, |left| left.min(chunk_bytes))))
    }

    /// The table as it lies in the index: the hashes, one after the other.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    pub(super) fn from_bytes(chunk_bytes: u32, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        (rest.is_empty() && chunk_bytes > 0).then(|| Self { chunk_bytes, hashes: hashes.to_vec() })
    }
}

/// Hashes what is read, as a whole and by chunks. `watch` hears how many bytes came, and may end it.
pub(super) fn hash_stream<E: From<io::Error>>(
    mut from: impl Read,
    chunk_bytes: u32,
    watch: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(BlobId, u64, ChunkTable), E> {
    let mut whole = Sha256::new();
    let mut table = ChunkTable { chunk_bytes, hashes: Vec::new() };
    let mut buffer = vec![0; usize::try_from(chunk_bytes).unwrap_or(usize::MAX)];
    let mut file_bytes = 0;
    loop {
        let filled = read_full(&mut from, &mut buffer)?;
        let chunk = buffer.get(..filled).unwrap_or_default();
        if chunk.is_empty() {
            return Ok((BlobId(whole.finalize().into()), file_bytes, table));
        }
        file_bytes += chunk.len() as u64;
        whole.update(chunk);
        table.hashes.push(Sha256::digest(chunk).into());
        watch(chunk)?;
    }
}

/// Reads until the buffer is full or the input ends.
pub(super) fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = BlobId::of(b"abc");
        // FIPS 180-4's own example.
        assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for wrong in ["", "ba78", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert_eq!(wrong.parse::<BlobId>(), Err(NoBlobId), "{wrong:?}");
        }
    }

    #[test]
    fn chunks_cover_a_file_once() {
        for (file_bytes, chunk_bytes) in [(0, 4), (1, 4), (4, 4), (5, 4), (8, 4), (9, 1)] {
            let count = ChunkTable::count(file_bytes, chunk_bytes);
            let places: Vec<_> =
                (0..count).filter_map(|index| ChunkTable::place(index, file_bytes, chunk_bytes)).collect();
            assert_eq!(places.len() as u64, count);
            assert_eq!(places.iter().map(|(_, bytes)| u64::from(*bytes)).sum::<u64>(), file_bytes);
            assert_eq!(ChunkTable::place(count, file_bytes, chunk_bytes), None);
        }
        assert_eq!(ChunkTable::place(u64::MAX, u64::MAX, u32::MAX), None);
    }

    #[test]
    fn a_stream_is_hashed_whole_and_by_chunks() {
        let (id, bytes, table) = hash_stream::<io::Error>(&b"0123456789"[..], 4, &mut |_| Ok(())).unwrap();
        assert_eq!((id, bytes), (BlobId::of(b"0123456789"), 10));
        assert_eq!(table.hashes, [BlobId::of(b"0123").0, BlobId::of(b"4567").0, BlobId::of(b"89").0]);
        assert_eq!(ChunkTable::from_bytes(4, &table.to_bytes()), Some(table));
        assert_eq!(ChunkTable::from_bytes(4, &[0; 33]), None);
    }
}
