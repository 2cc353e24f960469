//! From the layout of a file to the one that shaders read: arrays of u32, scales apart.

use super::{q4_0, q8_0};
use crate::tensor::Format;

/// Rows as they lie in two GPU buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuRows {
    /// The numbers, or what multiplies a scale.
    pub quants: Vec<u8>,
    /// The F16 scales in the order of the blocks; empty for a format without any.
    pub scales: Vec<u8>,
}

/// Repacks stored rows of `columns` elements; the rows follow each other without padding.
///
/// - F32, F16, BF16: `quants` are the bytes as stored; there are no scales.
/// - Q8_0: `quants` are the signed bytes of all blocks, 32 a block.
/// - Q4_0: `quants` are 16 bytes a block, reordered so that nibble `i` of its four little-endian u32 words, counted
///   from the lowest, is element `i`: eight elements a word.
///
/// # Panics
/// If `stored_rows` is not a whole number of rows.
pub fn repack(format: Format, columns: usize, stored_rows: &[u8]) -> GpuRows {
    let row_bytes = format.row_bytes(columns as u64).unwrap_or(0) as usize;
    assert!(
        stored_rows.is_empty() || row_bytes > 0 && stored_rows.len().is_multiple_of(row_bytes),
        "{} bytes are no whole rows of {columns} elements in {format}",
        stored_rows.len()
    );
    match format {
        Format::F32 | Format::F16 | Format::BF16 => GpuRows { quants: stored_rows.to_vec(), scales: Vec::new() },
        Format::Q8_0 => split(stored_rows.as_chunks::<{ q8_0::BLOCK_BYTES }>().0, q8_0::SCALE_BYTES, |quants, out| {
            out.extend_from_slice(quants);
        }),
        Format::Q4_0 => {
            split(stored_rows.as_chunks::<{ q4_0::BLOCK_BYTES }>().0, q4_0::SCALE_BYTES, |quants, out| {
                // Two elements that follow each other share a byte; first the low nibbles' half, then the high ones'.
                out.extend(quants.as_chunks::<2>().0.iter().map(|[even, odd]| even & 0x0f | odd << 4));
                out.extend(quants.as_chunks::<2>().0.iter().map(|[even, odd]| even >> 4 | odd & 0xf0));
            })
        }
    }
}

/// Takes each block apart into its scale and its quants.
fn split<const N: usize>(
    blocks: &[[u8; N]],
    scale_bytes: usize,
    write_quants: impl Fn(&[u8], &mut Vec<u8>),
) -> GpuRows {
    let mut rows = GpuRows {
        quants: Vec::with_capacity(blocks.len() * (N - scale_bytes)),
        scales: Vec::with_capacity(blocks.len() * scale_bytes),
    };
    for block in blocks {
        let (scale, quants) = block.split_at(scale_bytes);
        rows.scales.extend_from_slice(scale);
        write_quants(quants, &mut rows.quants);
    }
    rows
}
