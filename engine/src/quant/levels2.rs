//! LEVELS2: two bits a weight that name one of four levels, in the strips of [`super::trellis`].
//! `docs/formats/levels2.md` has the layout byte by byte.
//!
//! ```text
//! strip  byte 0              32              32 + 64           32 + 4 columns
//!             | scales of 16 rows | tile 0 (64 bytes) | tile 1 | ... |
//! tile   16 words of 32 bits, little-endian, one a row; bits 8 b + 2 j and 8 b + 2 j + 1 of one, b and j from 0 to 3,
//!        are the index i of column 4 j + b
//! weight scale of the row x (2 i - 3)
//! ```
//!
//! So `word >> 2 j & 0x03030303` are the indices of columns 4 j to 4 j + 3 in its four bytes, as instructions that
//! multiply bytes want them.

use super::trellis::{SCALES_BYTES, STRIP_ROWS, TILE_COLUMNS, TILE_WEIGHTS, row_scales};

/// Bytes of a tile: a word for each row.
pub const TILE_BYTES: usize = 4 * STRIP_ROWS;

/// What an index stands for, not yet scaled.
#[inline(always)]
pub const fn level(index: u32) -> i16 {
    2 * (index & 3) as i16 - 3
}

/// The lowest bit of a column's index in the word of a row.
#[inline(always)]
pub const fn column_bit(column: usize) -> usize {
    8 * (column % 4) + 2 * (column / 4)
}

/// The numbers of a tile, not yet scaled, in the order of a trellis's weights: t = 16 column + row.
#[inline(always)]
pub fn decode_tile(tile: &[u8]) -> [i16; TILE_WEIGHTS] {
    let mut words = [0; STRIP_ROWS];
    for (word, bytes) in words.iter_mut().zip(tile.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut numbers = [0; TILE_WEIGHTS];
    for (column, numbers) in numbers.as_chunks_mut::<STRIP_ROWS>().0.iter_mut().enumerate() {
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = level(word >> column_bit(column));
        }
    }
    numbers
}

/// The tile of 256 indices in that order, into its bytes.
pub fn encode_tile(indices: &[u8; TILE_WEIGHTS], tile: &mut [u8]) {
    for (row, bytes) in tile.as_chunks_mut::<4>().0.iter_mut().enumerate().take(STRIP_ROWS) {
        let word = (0..TILE_COLUMNS)
            .fold(0, |word, column| word | u32::from(indices[column * STRIP_ROWS + row] & 3) << column_bit(column));
        *bytes = word.to_le_bytes();
    }
}

/// One row of a strip. Exact: a scale has 11 bits and a level 2.
pub fn decode_strip_row(strip: &[u8], row: usize, out: &mut [f32]) {
    let scale = row_scales(strip)[row];
    for (tile, out) in strip[SCALES_BYTES..].chunks_exact(TILE_BYTES).zip(out.chunks_mut(TILE_COLUMNS)) {
        let word = tile.as_chunks::<4>().0.get(row).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        for (column, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(level(word >> column_bit(column)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_survives_its_bytes() {
        let indices: [u8; TILE_WEIGHTS] = std::array::from_fn(|at| (at * at / 7 % 4) as u8);
        let mut tile = [0; TILE_BYTES];
        encode_tile(&indices, &mut tile);
        assert_eq!(decode_tile(&tile), indices.map(|index| level(u32::from(index))));
    }
}
