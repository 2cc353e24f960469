//! One vector times strips of levels, with activations of eight bits. A tile has its weights as these products want them:
//! its sixteen words are sixteen rows, and two bits of each byte of a word are the indices of four columns that follow
//! each other. So a shift and a mask unpack four weights of each row, and one instruction multiplies and sums them up.
//! What is taken off each index is the same for all rows: the activations' sum.

use super::{
    XPart,
    activations::{self, Wanted},
};
use crate::{
    device::cpu::{
        SimdLevel, Workers, parts,
        simd::{BLOCK, IntegerTask, Integers, ROWS, SHARES_MAX},
    },
    kernel::Matrix,
    quant::{levels2::TILE_BYTES, trellis::SCALES_BYTES},
};

/// Bytes of weights that are worth waking a worker for.
const PART_BYTES: usize = 32 << 10;

/// How far ahead memory is asked for.
const AHEAD_BYTES: usize = 1 << 10;

/// Two tiles, which are multiplied with [`BLOCK`] activations.
type Block = [[u8; TILE_BYTES]; 2];

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
    activations::quantize(workers, level, (&x[..columns], columns), Wanted { offset: 0, halves: false }, x_parts);
    // A level is 2 (i - 3 / 2).
    let offset = 1.5 * x_parts.iter().map(|part| part.totals[0]).sum::<f32>();
    let parts = parts::count(workers, weights.bytes.len(), PART_BYTES);
    let rows = weights.rows.div_ceil(parts).next_multiple_of(ROWS * level.streams());
    let pieces = out[..weights.rows].chunks_mut(rows).enumerate().collect();
    parts::each(workers, pieces, |(nth, out): (usize, &mut [f32])| {
        let weights = weights.part(nth * rows, out.len());
        level.run_integers(Rows { x: x_parts, offset, weights, out, accumulate });
    });
}

/// A part of the rows.
struct Rows<'a> {
    x: &'a [XPart],
    /// What is taken off the sum of each row's indices times activations.
    offset: f32,
    weights: Matrix<'a>,
    out: &'a mut [f32],
    accumulate: bool,
}

impl IntegerTask for Rows<'_> {
    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        match S::STREAMS {
            8 => self.multiply::<S, 8>(simd),
            4 => self.multiply::<S, 4>(simd),
            2 => self.multiply::<S, 2>(simd),
            _ => self.multiply::<S, 1>(simd),
        }
    }
}

impl Rows<'_> {
    /// A stream is as many strips, one behind the other, as every other stream.
    #[inline(always)]
    fn multiply<S: Integers, const STREAMS: usize>(mut self, simd: S) {
        let strips = self.out.len().div_ceil(ROWS);
        let length = strips / STREAMS;
        for nth in 0..length {
            self.multiply_strips::<S, STREAMS>(simd, std::array::from_fn(|stream| stream * length + nth));
        }
        for rest in STREAMS * length..strips {
            self.multiply_strips::<S, 1>(simd, [rest]);
        }
    }

    #[inline(always)]
    fn multiply_strips<S: Integers, const COUNT: usize>(&mut self, simd: S, strips: [usize; COUNT]) {
        let strip_bytes = ROWS * self.weights.row_bytes();
        let bytes = strips.map(|strip| &self.weights.bytes[strip * strip_bytes..][..strip_bytes]);
        let blocks = bytes.map(|bytes| bytes[SCALES_BYTES..].as_chunks::<TILE_BYTES>().0.as_chunks::<2>().0);
        let mut products = [[0.0; ROWS]; COUNT];
        for share in 0..S::SHARES.min(SHARES_MAX) {
            multiply_share::<S::Share, COUNT>(simd.share(share), blocks, self.x, &mut products);
        }
        for ((strip, bytes), products) in strips.into_iter().zip(bytes).zip(products) {
            let Some(scales) = bytes.first_chunk::<SCALES_BYTES>() else { return };
            let mut rows = [0.0; ROWS];
            simd.store_rows(simd.rows_f16(scales), &mut rows);
            for ((out, product), scale) in self.out[strip * ROWS..].iter_mut().zip(products).zip(rows) {
                let product = 2.0 * scale * (product - self.offset);
                *out = if self.accumulate { *out + product } else { product };
            }
        }
    }
}

/// The sums of indices times activations, of some rows of each strip.
#[inline(always)]
fn multiply_share<S: Integers, const COUNT: usize>(
    simd: S,
    strips: [&[Block]; COUNT],
    x: &[XPart],
    products: &mut [[f32; ROWS]; COUNT],
) {
    let mut totals = [simd.splat_rows(0.0); COUNT];
    for (nth, x) in x.iter().enumerate() {
        let mut sums = [simd.start(0); COUNT];
        for (half, x) in x.fours.as_chunks::<{ BLOCK / 8 }>().0.iter().enumerate() {
            for (blocks, sums) in strips.iter().zip(&mut sums) {
                let tile = &blocks[nth][half];
                simd.fetch(tile, AHEAD_BYTES);
                *sums = simd.dot_twos(simd.load_bytes(tile), x, *sums);
            }
        }
        for (total, sums) in totals.iter_mut().zip(sums) {
            *total = simd.scale_add(simd.rows(sums), x.scale, *total);
        }
    }
    for (total, products) in totals.into_iter().zip(products) {
        simd.store_rows(total, products);
    }
}
