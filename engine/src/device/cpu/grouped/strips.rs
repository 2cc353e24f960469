//! One vector times strips of a trellis, with activations of eight bits. A tile has its weights as these products want
//! them: sixteen rows of a column beside each other. What a window's product leaves are four bytes whose sum is the
//! number, so each is multiplied with the same activation four times, and an instruction that multiplies bytes does both.

use super::{
    XPart,
    activations::{self, Wanted},
    levels,
};
use crate::{
    device::cpu::{
        SimdLevel, Workers, parts,
        simd::{BLOCK, Columns, IntegerTask, Integers, QUAD, ROWS, Windows},
    },
    kernel::Matrix,
    quant::trellis::{SCALES_BYTES, TILE_COLUMNS, tile_bytes},
    tensor::Format,
};

/// Bytes of weights that are worth waking a worker for.
const PART_BYTES: usize = 16 << 10;

/// How far ahead memory is asked for.
const AHEAD_BYTES: usize = 1 << 10;

/// Of the largest tile, and of what a window's bytes are loaded with behind it.
const RING_BYTES: usize = tile_bytes(6) + QUAD;

/// Columns of a tile, two and two.
const PAIRS: usize = TILE_COLUMNS / 2;

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
    if weights.format == Format::Levels2 {
        return levels::matvec(workers, level, x, weights, (out, accumulate), x_parts);
    }
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
        let strip_bytes = ROWS * self.weights.row_bytes();
        for (nth, out) in self.out.chunks_mut(ROWS).enumerate() {
            let strip = self.weights.bytes.get(nth * strip_bytes..).and_then(<[u8]>::split_first_chunk::<SCALES_BYTES>);
            let Some((scales, tiles)) = strip else { return };
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

/// The products of a strip's rows with `x`, not yet scaled. Behind its tiles lie those of the strips that follow.
#[inline(always)]
fn strip_products<S: Integers, const BITS: usize>(simd: S, windows: &Windows, tiles: &[u8], x: &[Splats]) -> S::Rows {
    let mut total = simd.splat_rows(0.0);
    let tile_bytes = tile_bytes(BITS as u32);
    for (nth, x) in x.iter().enumerate() {
        // Two sums, so that they need not wait for each other.
        let mut sums = [simd.start(x.start), simd.start(0)];
        for (half, x) in x.columns.as_chunks::<PAIRS>().0.iter().enumerate() {
            let Some(from) = tiles.get((2 * nth + half) * tile_bytes..) else { return total };
            simd.fetch(from, AHEAD_BYTES);
            if BITS > 3 {
                simd.fetch(from, AHEAD_BYTES + 64);
            }
            sums = match from.first_chunk::<RING_BYTES>() {
                Some(tile) => add_tile::<S, BITS>(simd, windows, tile, x, sums),
                None => {
                    // Near the end of memory there are fewer bytes than are loaded at a time.
                    let mut tile = [0; RING_BYTES];
                    tile[..tile_bytes].copy_from_slice(&from[..tile_bytes]);
                    add_tile::<S, BITS>(simd, windows, &tile, x, sums)
                }
            };
        }
        total = simd.scale_add(simd.rows(sums[0]), x.scale, total);
        total = simd.scale_add(simd.rows(sums[1]), x.scale, total);
    }
    total
}

/// Adds the products of a tile, whatever lies behind it.
#[inline(always)]
fn add_tile<S: Integers, const BITS: usize>(
    simd: S,
    windows: &Windows,
    tile: &[u8; RING_BYTES],
    x: &[Columns; PAIRS],
    [mut even, mut odd]: [S::Sums; 2],
) -> [S::Sums; 2] {
    for (two, [x, y]) in x.as_chunks::<2>().0.iter().enumerate() {
        let at = |column: usize| 2 * BITS * (4 * two + column);
        even = simd.dot_columns(tile, [at(0), at(1)], windows, *x, even);
        if two < PAIRS / 2 - 1 {
            odd = simd.dot_columns(tile, [at(2), at(3)], windows, *y, odd);
        }
    }
    // The windows of the last rows go on at the tile's beginning.
    let mut last = [0; 4 * 6 + QUAD];
    last[..4 * BITS].copy_from_slice(&tile[28 * BITS..32 * BITS]);
    last[4 * BITS..4 * BITS + 16].copy_from_slice(&tile[..16]);
    odd = simd.dot_columns(&last, [0, 2 * BITS], windows, x[PAIRS - 1], odd);
    [even, odd]
}
