//! One vector times strips of a trellis, with activations of eight bits. A tile has its weights as these products want
//! them: sixteen rows of a column beside each other. What a window's product leaves are four bytes whose sum is the
//! number, so each is multiplied with the same activation four times, and an instruction that multiplies bytes does both.

use super::{
    XPart,
    activations::{self, Wanted},
};
use crate::{
    device::cpu::{
        SimdLevel, Workers, parts,
        simd::{BLOCK, Columns, IntegerTask, Integers, QUAD, ROWS, Windows},
    },
    kernel::Matrix,
    quant::trellis::{SCALES_BYTES, TILE_COLUMNS, tile_bytes},
};

/// Bytes of weights that are worth waking a worker for.
const PART_BYTES: usize = 16 << 10;

/// How far ahead memory is asked for.
const AHEAD_BYTES: usize = 1 << 10;

/// Of the largest tile, and of what a window's bytes are loaded with behind it.
const RING_BYTES: usize = tile_bytes(6) + QUAD;

/// [`BLOCK`] activations, two and two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Splats {
    columns: [Columns; BLOCK / 2],
    /// What the sums of products begin with.
    start: i32,
    /// What the quants are multiplied with.
    scale: f32,
}

impl Splats {
    fn of(part: &XPart) -> Self {
        let quants: [u8; BLOCK] = bytemuck::cast(part.fours);
        let columns = std::array::from_fn(|pair| {
            let [a, b] = [quants[2 * pair], quants[2 * pair + 1]];
            Columns { each: [a, b].map(|quant| i32::from_le_bytes([quant; 4])), both: i32::from_le_bytes([a, a, b, b]) }
        });
        Self { columns, start: part.starts[0], scale: part.scale }
    }
}

/// Whether rows of so many columns can be multiplied here.
pub fn fits(columns: usize) -> bool {
    columns.is_multiple_of(BLOCK)
}

/// Multiplies; adds to `out` if `accumulate`. `parts` is memory for the activations.
pub fn matvec(
    workers: &dyn Workers,
    level: SimdLevel,
    x: &[f32],
    weights: Matrix<'_>,
    (out, accumulate): (&mut [f32], bool),
    x_parts: &mut Vec<XPart>,
) {
    let columns = weights.columns;
    let wanted = Wanted { offset: weights.code.codebook.offset(), halves: false };
    activations::quantize(workers, level, (&x[..columns], columns), wanted, x_parts);
    let splats: Vec<Splats> = x_parts.iter().map(Splats::of).collect();
    let parts = parts::count(workers, weights.bytes.len(), PART_BYTES);
    let rows = weights.rows.div_ceil(parts).next_multiple_of(ROWS);
    let pieces = out[..weights.rows].chunks_mut(rows).enumerate().collect();
    parts::each(workers, pieces, |(nth, out): (usize, &mut [f32])| {
        let weights = weights.part(nth * rows, out.len());
        level.run_windows(Rows { x: &splats, weights, out, accumulate });
    });
}

/// A part of the rows.
struct Rows<'a> {
    x: &'a [Splats],
    weights: Matrix<'a>,
    out: &'a mut [f32],
    accumulate: bool,
}

impl IntegerTask for Rows<'_> {
    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        match self.weights.format.trellis_bits() {
            Some(2) => self.multiply::<S, 2>(simd),
            Some(3) => self.multiply::<S, 3>(simd),
            Some(4) => self.multiply::<S, 4>(simd),
            Some(5) => self.multiply::<S, 5>(simd),
            Some(6) => self.multiply::<S, 6>(simd),
            _ => {}
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn multiply<S: Integers, const BITS: usize>(self, simd: S) {
        let code = self.weights.code;
        let windows = Windows::of(BITS, code.window_mask(), code.codebook.mask());
        let strips = self.weights.bytes.chunks_exact(ROWS * self.weights.row_bytes());
        for (out, strip) in self.out.chunks_mut(ROWS).zip(strips) {
            let Some((scales, tiles)) = strip.split_first_chunk::<SCALES_BYTES>() else { return };
            let products = strip_products::<S, BITS>(simd, &windows, tiles, self.x);
            let scales = simd.mul_rows(simd.rows_f16(scales), simd.splat_rows(code.codebook.unit()));
            let mut rows = [0.0; ROWS];
            simd.store_rows(simd.mul_rows(products, scales), &mut rows);
            for (out, product) in out.iter_mut().zip(rows) {
                *out = if self.accumulate { *out + product } else { product };
            }
        }
    }
}

/// The products of a strip's rows with `x`, not yet scaled.
#[inline(always)]
fn strip_products<S: Integers, const BITS: usize>(simd: S, windows: &Windows, tiles: &[u8], x: &[Splats]) -> S::Rows {
    let mut total = simd.splat_rows(0.0);
    let mut ring = [0; RING_BYTES];
    let tile_bytes = tile_bytes(BITS as u32);
    for (pair, x) in tiles.chunks_exact(2 * tile_bytes).zip(x) {
        // Two sums, so that they need not wait for each other.
        let (mut even, mut odd) = (simd.start(x.start), simd.start(0));
        for (tile, x) in pair.chunks_exact(tile_bytes).zip(x.columns.as_chunks::<{ TILE_COLUMNS / 2 }>().0) {
            simd.fetch(tile, AHEAD_BYTES);
            if BITS > 3 {
                simd.fetch(tile, AHEAD_BYTES + 64);
            }
            // The windows of the last rows go on at the tile's beginning.
            ring[..tile_bytes].copy_from_slice(tile);
            ring[tile_bytes..tile_bytes + QUAD].copy_from_slice(&tile[..QUAD]);
            for (two, [x, y]) in x.as_chunks::<2>().0.iter().enumerate() {
                let at = |column: usize| 2 * BITS * (4 * two + column);
                even = simd.dot_columns(&ring, [at(0), at(1)], windows, *x, even);
                odd = simd.dot_columns(&ring, [at(2), at(3)], windows, *y, odd);
            }
        }
        total = simd.scale_add(simd.rows(even), x.scale, total);
        total = simd.scale_add(simd.rows(odd), x.scale, total);
    }
    total
}
