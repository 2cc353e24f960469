//! Strips of 16 rows, whatever their tiles hold: a trellis or levels.

use super::{
    levels2,
    trellis::{self, Code, SCALES_BYTES, STRIP_ROWS, TILE_COLUMNS, TILE_WEIGHTS, row_scales},
};
use crate::tensor::Format;

/// The numbers of a tile, not yet scaled, in the order t = 16 column + row; zeros for a format whose rows stand alone.
#[inline(always)]
pub fn decode_tile(format: Format, code: Code, tile: &[u8]) -> [i16; TILE_WEIGHTS] {
    match format.trellis_bits() {
        Some(bits) => trellis::decode_tile(bits, code, tile),
        None if format == Format::Levels2 => levels2::decode_tile(tile),
        None => [0; TILE_WEIGHTS],
    }
}

/// What a number is multiplied with besides its row's scale.
pub fn unit(format: Format, code: Code) -> f32 {
    if format.trellis_bits().is_some() { code.codebook.unit() } else { 1.0 }
}

/// One row of a strip.
pub fn decode_strip_row(format: Format, code: Code, strip: &[u8], row: usize, out: &mut [f32]) {
    match format.trellis_bits() {
        Some(bits) => trellis::decode_strip_row(bits, code, strip, row, out),
        None => levels2::decode_strip_row(strip, row, out),
    }
}

/// The first rows of a matrix of strips, as many as `out` holds: (rows, columns) F32.
pub fn decode_rows(format: Format, code: Code, strips: &[u8], columns: usize, out: &mut [f32]) {
    let bits = format.strip_bits().unwrap_or(0);
    let strips = strips.chunks_exact(trellis::strip_bytes(bits, columns));
    for (strip, rows) in strips.zip(out.chunks_mut(STRIP_ROWS * columns)) {
        let scales = row_scales(strip).map(|scale| scale * unit(format, code));
        let tiles = strip[SCALES_BYTES..].chunks_exact(trellis::tile_bytes(bits).max(1));
        for (tile_at, tile) in tiles.enumerate() {
            let numbers = decode_tile(format, code, tile);
            for (row, (out, scale)) in rows.chunks_exact_mut(columns).zip(scales).enumerate() {
                let out = &mut out[tile_at * TILE_COLUMNS..][..TILE_COLUMNS];
                for (out, numbers) in out.iter_mut().zip(numbers.as_chunks::<STRIP_ROWS>().0) {
                    *out = scale * f32::from(numbers[row]);
                }
            }
        }
    }
}
