//! GGUF, version 2 and 3: one file, or several parts of one, with weights, configuration, tokenizer and chat template.
//!
//! ```text
//! "GGUF" | version u32 | tensors u64 | keys u64
//! key: name, type u32, value            for each key
//! tensor: name, sides u32, [u64], type u32, offset u64   for each tensor
//! padding to the alignment, then the tensors' bytes, each at a multiple of the alignment
//! ```
//!
//! How long the header is stands nowhere, so it is read in growing pieces and parsed from the front again until it
//! fits; the pieces double, so all parsing together costs no more than twice the last one. A count or a length is
//! compared with the file's size before anything is allocated for it.

mod header;
mod split;
mod types;
mod value;
mod write;

pub use split::PartName;
pub use value::{GgufArray, GgufMetadata, GgufValue};
pub use write::{GgufTensor, write_gguf};

use std::rc::Rc;

use super::{ByteSource, Catalog, Folder, TensorInfo, UnsupportedTensor, catalog::stored_bytes};
use crate::{Error, Result};
use header::{Header, Stop, TensorEntry};

/// How much of the file is read first.
const FIRST_READ_BYTES: u64 = 256 << 10;
/// The longest header that is read; one with 256,000 tokens and their merges takes 20 MiB.
const HEADER_MAX_BYTES: u64 = 256 << 20;
/// Where the file does not say otherwise, tensors begin at multiples of this.
const DEFAULT_ALIGNMENT: u64 = 32;
/// No alignment is larger than this.
const ALIGNMENT_MAX: u64 = 1 << 20;

/// Reads and checks the header: what the file says, and where its tensors are. A part of a model in several files
/// stands for all of them.
pub(super) async fn read_gguf(folder: &dyn Folder, file: &str) -> Result<(Catalog, GgufMetadata)> {
    let source = split::open_part(folder, file).await?;
    let header = read_header(&*source).await?;
    match split::read_parts(folder, file, header).await? {
        Ok(whole) => Ok(whole),
        Err(header) => {
            let mut catalog = Catalog::default();
            let metadata = add_part(&mut catalog, source, header)?;
            Ok((catalog, metadata))
        }
    }
}

/// Adds one file's tensors to the catalog, and gives what the file says about itself.
fn add_part(catalog: &mut Catalog, source: Rc<dyn ByteSource>, header: Header) -> Result<GgufMetadata> {
    let file = source.name().to_owned();
    let file_bytes = source.len_bytes();
    let alignment = read_alignment(&header.metadata)?;
    let data_start = header.len_bytes.next_multiple_of(alignment);
    let index = catalog.sources.len();
    catalog.sources.push(source);
    let mut starts: Vec<u64> = header.tensors.iter().map(|entry| entry.offset).collect();
    starts.push(file_bytes.saturating_sub(data_start));
    starts.sort_unstable();
    for entry in header.tensors {
        let (shape, offset) = (entry.shape.clone(), entry.offset);
        match to_tensor(&file, file_bytes, entry, alignment, data_start) {
            Ok(tensor) => catalog.insert(TensorInfo { source: index, ..tensor })?,
            Err(Error::UnsupportedFormat { tensor: name, format }) => {
                // How long a block of a format that is not known may be, only the next tensor's place tells.
                let next = starts.get(starts.partition_point(|start| *start <= offset)).copied();
                let len_bytes = next.unwrap_or(offset).saturating_sub(offset);
                catalog.unsupported.push(UnsupportedTensor {
                    name,
                    shape,
                    format,
                    source: index,
                    offset_bytes: 0,
                    len_bytes,
                });
            }
            Err(error) => return Err(error),
        }
    }
    check_overlap(&file, catalog, index)?;
    Ok(header.metadata)
}

/// Reads more and more of the file until the header is whole.
async fn read_header(source: &dyn ByteSource) -> Result<Header> {
    let file_bytes = source.len_bytes();
    let mut bytes = Vec::new();
    let mut wanted = FIRST_READ_BYTES;
    loop {
        let start = bytes.len() as u64;
        bytes.append(&mut source.read(start..wanted.min(file_bytes)).await?);
        match header::parse(&bytes) {
            Ok(header) => return Ok(header),
            Err(Stop::Malformed(reason)) => return Err(Error::malformed(source.name(), reason)),
            Err(Stop::Truncated { needed_bytes }) if needed_bytes > file_bytes => {
                let file = source.name().to_owned();
                return Err(Error::Truncated { file, needed_bytes, available_bytes: file_bytes });
            }
            Err(Stop::Truncated { needed_bytes }) if needed_bytes > HEADER_MAX_BYTES => {
                let reason = format!("its header goes on to byte {needed_bytes}; at most {HEADER_MAX_BYTES} are read");
                return Err(Error::malformed(source.name(), reason));
            }
            Err(Stop::Truncated { needed_bytes }) => wanted = needed_bytes.max(2 * wanted).min(HEADER_MAX_BYTES),
        }
    }
}

/// At multiples of what the tensors begin.
fn read_alignment(metadata: &GgufMetadata) -> Result<u64> {
    let alignment = metadata.find_u64("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if alignment.is_power_of_two() && alignment <= ALIGNMENT_MAX {
        Ok(alignment)
    } else {
        let reason = format!("is {alignment}, which is no power of two up to {ALIGNMENT_MAX}");
        Err(Error::config("general.alignment", reason))
    }
}

/// Checks one entry against its own figures and the file's length.
fn to_tensor(file: &str, file_bytes: u64, entry: TensorEntry, alignment: u64, data_start: u64) -> Result<TensorInfo> {
    let TensorEntry { name, shape, type_id, offset } = entry;
    let format = match types::format_of(type_id) {
        Ok(format) => format,
        Err(format) => return Err(Error::UnsupportedFormat { tensor: name, format }),
    };
    let len_bytes = stored_bytes(&shape, format).ok_or_else(|| {
        let reason = format!("the tensor {name:?} cannot be {format} of shape {shape:?}");
        Error::malformed(file, reason)
    })?;
    if !offset.is_multiple_of(alignment) {
        let reason = format!("the tensor {name:?} begins at {offset}, which is no multiple of {alignment}");
        return Err(Error::malformed(file, reason));
    }
    let needed_bytes = data_start.saturating_add(offset).saturating_add(len_bytes);
    if needed_bytes > file_bytes {
        return Err(Error::Truncated { file: file.to_owned(), needed_bytes, available_bytes: file_bytes });
    }
    Ok(TensorInfo { name, shape, format, source: 0, offset_bytes: data_start + offset, len_bytes })
}

/// Checks that no byte belongs to two tensors.
fn check_overlap(file: &str, catalog: &Catalog, source: usize) -> Result<()> {
    let within = |tensor: &&TensorInfo| tensor.source == source && tensor.len_bytes > 0;
    let mut tensors: Vec<_> = catalog.tensors.values().filter(within).collect();
    tensors.sort_by_key(|tensor| tensor.offset_bytes);
    for pair in tensors.windows(2) {
        if pair[0].offset_bytes + pair[0].len_bytes > pair[1].offset_bytes {
            let reason = format!("the tensors {:?} and {:?} overlap", pair[0].name, pair[1].name);
            return Err(Error::malformed(file, reason));
        }
    }
    Ok(())
}
