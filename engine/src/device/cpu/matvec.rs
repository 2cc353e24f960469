//! `out[r] = sum_c weights[r, c] * x[c]`, for one vector or a few.

use super::{
    SimdLevel, Workers,
    dot::{dot1, dot4},
    matmul::matmul,
    parts,
    simd::{Simd, Task},
    stored::{Stored, with_format},
};
use crate::kernel::Matrix;

/// Rows that share what is loaded of `x`.
const ROWS: usize = 4;

/// Bytes of weights that are worth waking a worker for.
const PART_BYTES: usize = 256 << 10;

/// Multiplies; adds to `out` if `accumulate`.
pub fn matvec(
    workers: &dyn Workers,
    level: SimdLevel,
    x: &[f32],
    weights: Matrix<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    let columns = weights.columns;
    if weights.format.strip_bits().is_some() {
        return matmul(workers, level, &x[..columns], weights, out, accumulate);
    }
    let parts = parts::count(workers, weights.bytes.len(), PART_BYTES);
    // Whole groups of rows, so that only the last part has some left over.
    let rows = weights.rows.div_ceil(parts).next_multiple_of(ROWS);
    let pieces = out[..weights.rows].chunks_mut(rows).enumerate().collect();
    parts::each(workers, pieces, |(nth, out): (usize, &mut [f32])| {
        level.run(Rows { x: &x[..columns], weights: weights.part(nth * rows, out.len()), out, accumulate });
    });
}

/// A part of the rows.
struct Rows<'a> {
    x: &'a [f32],
    weights: Matrix<'a>,
    out: &'a mut [f32],
    accumulate: bool,
}

impl Task for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_format!(self.weights.format, W => self.multiply::<S, W>(simd));
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn multiply<S: Simd, W: Stored>(self, simd: S) {
        let (groups, rest) = self.out.as_chunks_mut::<ROWS>();
        let first_rest = groups.len() * ROWS;
        for (nth, out) in groups.iter_mut().enumerate() {
            let row = |ahead| self.weights.row(nth * ROWS + ahead);
            let products = dot4::<S, W>(simd, [row(0), row(1), row(2), row(3)], self.x);
            for (out, product) in out.iter_mut().zip(products) {
                *out = if self.accumulate { *out + product } else { product };
            }
        }
        for (nth, out) in rest.iter_mut().enumerate() {
            let product = dot1::<S, W>(simd, self.weights.row(first_rest + nth), self.x);
            *out = if self.accumulate { *out + product } else { product };
        }
    }
}
