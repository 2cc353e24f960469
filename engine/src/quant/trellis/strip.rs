//! Tiles and strips as bytes.

use super::Code;
use crate::quant::f16_to_f32;

/// Rows of a strip, and of a tile.
pub const STRIP_ROWS: usize = 16;

/// Columns of a tile.
pub const TILE_COLUMNS: usize = 16;

/// Weights of a tile.
pub const TILE_WEIGHTS: usize = STRIP_ROWS * TILE_COLUMNS;

/// Bytes of a strip's row scales, in front of its tiles.
pub const SCALES_BYTES: usize = 2 * STRIP_ROWS;

/// Bytes of a tile of `bits` a weight.
pub const fn tile_bytes(bits: u32) -> usize {
    TILE_WEIGHTS / 8 * bits as usize
}

/// Bytes of a strip of `columns`, which are a multiple of [`TILE_COLUMNS`].
pub const fn strip_bytes(bits: u32, columns: usize) -> usize {
    SCALES_BYTES + columns / TILE_COLUMNS * tile_bytes(bits)
}

/// The windows of a tile in the order of its weights: t = 16 column + row. Each has all of its 16 bits.
pub fn windows(bits: u32, tile: &[u8]) -> [u16; TILE_WEIGHTS] {
    let ring_bytes = tile_bytes(bits);
    assert_eq!(tile.len(), ring_bytes, "a tile of {bits} bits a weight");
    std::array::from_fn(|at| window(bits, tile, at))
}

/// The window of one weight.
#[inline(always)]
fn window(bits: u32, tile: &[u8], at: usize) -> u16 {
    let bit = at * bits as usize;
    let byte = |next: usize| u32::from(tile[(bit / 8 + next) % tile.len()]) << (8 * next);
    ((byte(0) | byte(1) | byte(2)) >> (bit % 8)) as u16
}

/// The numbers of a tile, not yet scaled, in the order of its weights.
pub fn decode_tile(bits: u32, code: Code, tile: &[u8]) -> [i16; TILE_WEIGHTS] {
    windows(bits, tile).map(|window| code.number(window) as i16)
}

/// The scales of a strip's rows.
pub fn row_scales(strip: &[u8]) -> [f32; STRIP_ROWS] {
    let scales = &strip.as_chunks::<2>().0[..STRIP_ROWS];
    std::array::from_fn(|row| f16_to_f32(u16::from_le_bytes(scales[row])))
}

/// A strip as (16, columns) F32, rows first. Exact: a scale has 11 bits and a number 9.
///
/// # Panics
/// If `strip` is not a strip of so many columns; [`crate::file::Catalog`] has checked that for every tensor.
pub fn decode_strip(bits: u32, code: Code, strip: &[u8], out: &mut [f32]) {
    let columns = out.len() / STRIP_ROWS;
    assert_eq!(
        (strip.len(), columns % TILE_COLUMNS),
        (strip_bytes(bits, columns), 0),
        "a strip of {columns} columns with {bits} bits a weight"
    );
    let scales = row_scales(strip).map(|scale| scale * code.codebook.unit());
    for (tile_at, tile) in strip[SCALES_BYTES..].chunks_exact(tile_bytes(bits)).enumerate() {
        for (at, number) in decode_tile(bits, code, tile).into_iter().enumerate() {
            let (column, row) = (tile_at * TILE_COLUMNS + at / STRIP_ROWS, at % STRIP_ROWS);
            out[row * columns + column] = scales[row] * f32::from(number);
        }
    }
}

/// One row of a strip.
pub fn decode_strip_row(bits: u32, code: Code, strip: &[u8], row: usize, out: &mut [f32]) {
    let scale = row_scales(strip)[row] * code.codebook.unit();
    for (tile, out) in strip[SCALES_BYTES..].chunks_exact(tile_bytes(bits)).zip(out.chunks_mut(TILE_COLUMNS)) {
        for (column, out) in out.iter_mut().enumerate() {
            *out = scale * code.number(window(bits, tile, column * STRIP_ROWS + row)) as f32;
        }
    }
}

/// The first rows of a matrix of strips, as many as `out` holds: (rows, columns) F32.
pub fn decode_rows(bits: u32, code: Code, strips: &[u8], columns: usize, out: &mut [f32]) {
    let mut strip_out = vec![0.0; STRIP_ROWS * columns];
    let strips = strips.chunks_exact(strip_bytes(bits, columns));
    for (strip, rows) in strips.zip(out.chunks_mut(STRIP_ROWS * columns)) {
        decode_strip(bits, code, strip, &mut strip_out);
        rows.copy_from_slice(&strip_out[..rows.len()]);
    }
}
