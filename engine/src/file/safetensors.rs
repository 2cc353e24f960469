//! Reads the headers of safetensors files: one file, or an index and its shards.
//!
//! A file is an 8-byte little-endian length, a JSON object of that length, and the tensors' bytes:
//!
//! ```text
//! {"__metadata__": {"format": "pt"}, "a.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}
//! ```
//!
//! Offsets count from the end of the header. As the format's rules ask, the tensors cover all bytes behind the header
//! without a hole and without an overlap, so a file that lost or gained bytes is noticed before a weight is read.
//!
//! The format's own crate wants a whole file in memory, counts in `usize` (32 bits in WebAssembly, too few for a large
//! file), takes the last of two tensors of one name and does not name the tensor whose type it lacks. So the header is
//! read here, and tests compare what the two accept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::{
    ByteSource, Catalog, Folder, TensorInfo, UnsupportedTensor,
    catalog::stored_bytes,
    open::{self, DOCUMENT_MAX_BYTES},
};
use crate::{Error, Result, tensor::Format};

/// Bytes of the header's length in front of it.
const LENGTH_BYTES: u64 = 8;
/// The format's own limit for a header.
const HEADER_MAX_BYTES: u64 = 100_000_000;
/// How many shards an index may name.
const SHARDS_MAX: usize = 4096;

/// Reads and checks the header of one file that holds all tensors.
pub(super) async fn read_single(source: Rc<dyn ByteSource>) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    read_into(&mut catalog, source).await?;
    Ok(catalog)
}

/// Reads and checks an index and the headers of all shards that it names.
pub(super) async fn read_sharded(folder: &dyn Folder, index: Rc<dyn ByteSource>) -> Result<Catalog> {
    let text = open::read_text(&*index, DOCUMENT_MAX_BYTES).await?;
    let Index { weight_map: UniqueMap(weight_map) } =
        serde_json::from_str(&text).map_err(|error| Error::malformed(index.name(), error))?;
    let mut shards = BTreeMap::new();
    for (_, shard) in &weight_map {
        let next = shards.len();
        shards.entry(shard.as_str()).or_insert(next);
    }
    if shards.len() > SHARDS_MAX {
        let reason = format!("it names {} shards; at most {SHARDS_MAX} are read", shards.len());
        return Err(Error::malformed(index.name(), reason));
    }
    let mut catalog = Catalog::default();
    for (source, shard) in shards.keys().enumerate() {
        if shard.is_empty() || shard.contains(['/', '\\']) || *shard == ".." {
            return Err(Error::malformed(index.name(), format_args!("{shard:?} is no name of a file beside it")));
        }
        let file = folder.open(shard).await?.ok_or_else(|| Error::MissingFile { file: (*shard).to_owned() })?;
        read_into(&mut catalog, file).await?;
        shards_hold(&catalog, source, shard, &weight_map)?;
    }
    Ok(catalog)
}

/// Checks that a shard holds all tensors that the index says it does.
fn shards_hold(catalog: &Catalog, source: usize, shard: &str, weight_map: &[(String, String)]) -> Result<()> {
    let mut named = weight_map.iter().filter(|(tensor, named)| named == shard && !is_counter(tensor));
    let unsupported = catalog.unsupported.iter().filter(|found| found.source == source);
    let unsupported: BTreeSet<&str> = unsupported.map(|found| found.name.as_str()).collect();
    let is_here = |tensor: &str| match catalog.tensors.get(tensor) {
        Some(found) => found.source == source,
        None => unsupported.contains(tensor),
    };
    match named.find(|(tensor, _)| !is_here(tensor)) {
        None => Ok(()),
        Some((tensor, _)) => {
            Err(Error::malformed(shard, format_args!("the index says that it holds {tensor:?}, but it does not")))
        }
    }
}

/// Reads one file's header and adds its tensors.
async fn read_into(catalog: &mut Catalog, source: Rc<dyn ByteSource>) -> Result<()> {
    let file = source.name().to_owned();
    let file_bytes = source.len_bytes();
    let truncated = |needed_bytes| Error::Truncated { file: file.clone(), needed_bytes, available_bytes: file_bytes };
    if file_bytes < LENGTH_BYTES {
        return Err(truncated(LENGTH_BYTES));
    }
    let length = source.read(0..LENGTH_BYTES).await?;
    let header_bytes = length.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if header_bytes > HEADER_MAX_BYTES {
        let reason = format!("its header claims {header_bytes} bytes; the format allows {HEADER_MAX_BYTES}");
        return Err(Error::malformed(file, reason));
    }
    let data_start = LENGTH_BYTES + header_bytes;
    if data_start > file_bytes {
        return Err(truncated(data_start));
    }
    let header = source.read(LENGTH_BYTES..data_start).await?;
    let entries = parse_header(&file, &header)?;
    let data_end = check_cover(&file, &entries)?.checked_add(data_start);
    match data_end {
        Some(end) if end > file_bytes => return Err(truncated(end)),
        Some(end) if end == file_bytes => {}
        _ => {
            let reason = format!("its tensors end at byte {}, but it has {file_bytes}", data_end.unwrap_or(u64::MAX));
            return Err(Error::malformed(file, reason));
        }
    }
    let index = catalog.sources.len();
    catalog.sources.push(source);
    for (name, entry) in entries {
        if is_counter(&name) && entry.dtype == "I64" {
            continue;
        }
        let (shape, (start, end)) = (entry.shape.clone(), entry.data_offsets);
        match to_tensor(&file, name, entry, index, data_start) {
            Ok(tensor) => catalog.insert(tensor)?,
            Err(Error::UnsupportedFormat { tensor: name, format }) => {
                let len_bytes = end - start;
                let offset_bytes = data_start + start;
                let tensor = UnsupportedTensor { name, shape, format, source: index, offset_bytes, len_bytes };
                catalog.unsupported.push(tensor);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether it is a tensor that only counts 0, 1, 2, ...: older encoders' files hold one beside the weights.
fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some("position_ids")
}

/// The tensors of a header, by where they begin.
fn parse_header(file: &str, header: &[u8]) -> Result<Vec<(String, Entry)>> {
    if header.first() != Some(&b'{') {
        return Err(Error::malformed(file, "its header does not begin with an opening brace"));
    }
    let Header { mut entries } = serde_json::from_slice(header).map_err(|error| Error::malformed(file, error))?;
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    Ok(entries)
}

/// Checks that sorted tensors cover their bytes without hole or overlap; gives where the last one ends.
fn check_cover(file: &str, entries: &[(String, Entry)]) -> Result<u64> {
    entries.iter().try_fold(0, |covered, (name, entry)| {
        let (start, end) = entry.data_offsets;
        if start != covered || end < start {
            let reason = format!("the tensor {name:?} lies at {start}..{end}, but the one before it ends at {covered}");
            return Err(Error::malformed(file, reason));
        }
        Ok(end)
    })
}

/// Checks one entry against its own figures.
fn to_tensor(file: &str, name: String, entry: Entry, source: usize, data_start: u64) -> Result<TensorInfo> {
    let format = match &*entry.dtype {
        "F32" => Format::F32,
        "F16" => Format::F16,
        "BF16" => Format::BF16,
        _ => return Err(Error::UnsupportedFormat { tensor: name, format: entry.dtype }),
    };
    let (start, end) = entry.data_offsets;
    let len_bytes = end - start;
    if stored_bytes(&entry.shape, format) != Some(len_bytes) {
        let reason = format!(
            "the tensor {name:?} has {len_bytes} bytes, which is not what {format} of shape {:?} takes",
            entry.shape
        );
        return Err(Error::malformed(file, reason));
    }
    Ok(TensorInfo { name, shape: entry.shape, format, source, offset_bytes: data_start + start, len_bytes })
}

/// A tensor as the header describes it.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header: tensors by name, beside `__metadata__`.
struct Header {
    entries: Vec<(String, Entry)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<BTreeMap<String, String>>()?;
                    } else {
                        let entry = map.next_value().map_err(|error| {
                            de::Error::custom(format_args!("the entry of the tensor {name:?}: {error}"))
                        })?;
                        entries.push((name, entry));
                    }
                }
                Ok(Header { entries })
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// `model.safetensors.index.json`: which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: UniqueMap,
}

/// A JSON object of texts in which no key may come twice.
struct UniqueMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct UniqueVisitor;
        impl<'de> Visitor<'de> for UniqueVisitor {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of shards by tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<UniqueMap, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((tensor, shard)) = map.next_entry::<String, String>()? {
                    if found.contains_key(&tensor) {
                        return Err(de::Error::custom(format_args!("{tensor:?} is there twice")));
                    }
                    found.insert(tensor, shard);
                }
                Ok(UniqueMap(found.into_iter().collect()))
            }
        }
        deserializer.deserialize_map(UniqueVisitor)
    }
}
