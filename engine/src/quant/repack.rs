//! From the layout of a file to the one that shaders read: arrays of u32, scales apart.

use super::{grids, q4_0, trellis};
use crate::tensor::Format;

/// Rows as they lie in two sections of a GPU's buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuRows {
    /// The numbers, or what multiplies a scale: whole words of 4 bytes a block.
    pub quants: Vec<u8>,
    /// What multiplies whole blocks, in the order of the blocks; empty for a format without any.
    pub scales: Vec<u8>,
}

/// How a format's blocks are divided between the two sections, and what shaders look up to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuLayout {
    /// Bytes at the block's start that go to the scales.
    front_bytes: usize,
    /// Bytes at the block's end that go to the scales.
    back_bytes: usize,
    /// Bytes of a block that stay together.
    pub quant_bytes: usize,
    /// Of a whole number of words, before the first block; empty for most formats.
    pub table: &'static [u16],
}

impl GpuLayout {
    /// Of a format.
    pub const fn of(format: Format) -> Self {
        let (front_bytes, back_bytes): (usize, usize) = match format {
            Format::F32 | Format::F16 | Format::BF16 => (0, 0),
            Format::Trellis2 | Format::Trellis3 | Format::Trellis4 | Format::Trellis5 | Format::Trellis6 => (0, 0),
            Format::Levels2 => (0, 0),
            Format::MXFP4 => (1, 0),
            Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::IQ4_NL => (2, 0),
            Format::IQ2_XXS | Format::IQ2_XS | Format::IQ2_S | Format::IQ3_XXS | Format::IQ3_S => (2, 0),
            Format::Q4_1 | Format::Q5_1 | Format::IQ4_XS => (4, 0),
            // With the scales of parts of the block, so that the rest is whole loads of 16 bytes.
            Format::Q4_K | Format::Q5_K => (16, 0),
            Format::Q3_K | Format::Q6_K | Format::TQ1_0 | Format::TQ2_0 => (0, 2),
            Format::Q2_K => (0, 4),
        };
        let table: &[u16] = match format {
            Format::IQ2_XXS => &grids::IQ2_XXS,
            Format::IQ2_XS => &grids::IQ2_XS,
            Format::IQ2_S => &grids::IQ2_S,
            Format::IQ3_XXS => &grids::IQ3_XXS,
            Format::IQ3_S => &grids::IQ3_S,
            _ => &[],
        };
        let quant_bytes = format.block_bytes() - front_bytes - back_bytes;
        Self { front_bytes, back_bytes, quant_bytes, table }
    }

    /// Bytes of a block that go to the scales.
    pub const fn scale_bytes(self) -> usize {
        self.front_bytes + self.back_bytes
    }
}

/// Repacks stored rows of `columns` elements; the rows follow each other without padding.
///
/// Of each block the scales go to one section and the rest, as it is stored, to the other; the elements of a format
/// without blocks have no scales. The tiles of strips go to the one, the scales of their rows to the other. Only Q4_0 is reordered: nibble `i` of its four little-endian words, counted from the
/// lowest, is element `i`, so that a word holds eight that follow each other.
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
    if let Some(bits) = format.strip_bits() {
        let strips = stored_rows.chunks_exact(trellis::strip_bytes(bits, columns));
        let (scales, quants): (Vec<&[u8]>, Vec<&[u8]>) =
            strips.map(|strip| strip.split_at(trellis::SCALES_BYTES)).unzip();
        return GpuRows { quants: quants.concat(), scales: scales.concat() };
    }
    let layout = GpuLayout::of(format);
    if layout.scale_bytes() == 0 {
        return GpuRows { quants: stored_rows.to_vec(), scales: Vec::new() };
    }
    let blocks = stored_rows.len() / format.block_bytes();
    let mut rows = GpuRows {
        quants: Vec::with_capacity(blocks * layout.quant_bytes),
        scales: Vec::with_capacity(blocks * layout.scale_bytes()),
    };
    for block in stored_rows.chunks_exact(format.block_bytes()) {
        let (front, rest) = block.split_at(layout.front_bytes);
        let (quants, back) = rest.split_at(layout.quant_bytes);
        rows.scales.extend_from_slice(front);
        rows.scales.extend_from_slice(back);
        if format == Format::Q4_0 {
            q4_0::reorder(quants, &mut rows.quants);
        } else {
            rows.quants.extend_from_slice(quants);
        }
    }
    rows
}
