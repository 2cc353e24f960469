//! One vector: each group of rows is read once, from beginning to end. For the formats that models come in most, nothing
//! of it is written; others go through panels, as a batch of one.

use super::{
    Groups, XPart, activations,
    formats::{Grouped, Kind, Q4_0, Q4_K, Q6_K, Q8_0},
    matmul, wanted,
};
use crate::{
    device::cpu::{
        SimdLevel, Workers,
        buffer::LINE_BYTES,
        parts,
        simd::{IntegerTask, Integers, ROWS},
    },
    tensor::Format,
};

/// Bytes of weights that are worth waking a worker for.
const PART_BYTES: usize = 64 << 10;

/// How far ahead memory is asked for. Twice as far is as good; four times as far is worse than not at all, because the
/// processor then waits for lines that it does not need yet.
const AHEAD_BYTES: usize = 1 << 10;

/// Multiplies; adds to `out` if `accumulate`. `parts` is memory for the activations.
pub fn matvec(
    workers: &dyn Workers,
    level: SimdLevel,
    x: &[f32],
    weights: Groups<'_>,
    (out, accumulate): (&mut [f32], bool),
    x_parts: &mut Vec<XPart>,
) {
    let columns = weights.columns;
    if !matches!(weights.format, Format::Q4_0 | Format::Q8_0 | Format::Q4_K | Format::Q6_K) {
        return matmul(workers, level, &x[..columns], weights, (out, accumulate), x_parts);
    }
    activations::quantize(workers, level, (&x[..columns], columns), wanted(weights.format, level.bias()), x_parts);
    let parts = parts::count(workers, weights.bytes.len(), PART_BYTES);
    let rows = weights.rows.div_ceil(parts).next_multiple_of(ROWS);
    let pieces = out[..weights.rows].chunks_mut(rows).enumerate().collect();
    parts::each(workers, pieces, |(nth, out): (usize, &mut [f32])| {
        let weights = weights.part(nth * rows, out.len());
        level.run_integers(Rows { x: x_parts, weights, out, accumulate });
    });
}

/// A part of the rows.
struct Rows<'a> {
    x: &'a [XPart],
    weights: Groups<'a>,
    out: &'a mut [f32],
    accumulate: bool,
}

impl IntegerTask for Rows<'_> {
    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        match self.weights.format {
            Format::Q4_0 => self.multiply::<S, Q4_0>(simd),
            Format::Q8_0 => self.multiply::<S, Q8_0>(simd),
            Format::Q4_K => self.multiply::<S, Q4_K>(simd),
            Format::Q6_K => self.multiply::<S, Q6_K>(simd),
            _ => {}
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn multiply<S: Integers, F: Grouped>(self, simd: S) {
        let groups = self.weights.bytes.chunks_exact(self.weights.group_bytes());
        for (out, group) in self.out.chunks_mut(ROWS).zip(groups) {
            let mut products = [0.0; ROWS];
            simd.store_rows(group_products::<S, F>(simd, group, self.x), &mut products);
            for (out, product) in out.iter_mut().zip(products) {
                *out = if self.accumulate { *out + product } else { product };
            }
        }
    }
}

/// The products of a group's rows with `x`.
#[inline(always)]
fn group_products<S: Integers, F: Grouped>(simd: S, group: &[u8], x: &[XPart]) -> S::Rows {
    let mut total = simd.splat_rows(0.0);
    for (block, x) in F::blocks(group).iter().zip(x.chunks_exact(F::PARTS)) {
        let block = block.as_ref();
        if F::PARTS == 1 {
            total = add_part::<S, F, 0>(simd, block, x, total);
        } else {
            // Written out, so that each has its shifts and masks in its instructions.
            total = add_part::<S, F, 0>(simd, block, x, total);
            total = add_part::<S, F, 1>(simd, block, x, total);
            total = add_part::<S, F, 2>(simd, block, x, total);
            total = add_part::<S, F, 3>(simd, block, x, total);
            total = add_part::<S, F, 4>(simd, block, x, total);
            total = add_part::<S, F, 5>(simd, block, x, total);
            total = add_part::<S, F, 6>(simd, block, x, total);
            total = add_part::<S, F, 7>(simd, block, x, total);
        }
    }
    total
}

/// Adds the products with 32 activations.
#[inline(always)]
fn add_part<S: Integers, F: Grouped, const PART: usize>(
    simd: S,
    block: &[u8],
    x: &[XPart],
    mut total: S::Rows,
) -> S::Rows {
    let x = &x[PART];
    fetch_ahead::<S, F, PART>(simd, block);
    let mut sums = simd.start(x.starts[0]);
    sums = add_pair::<S, F, PART, 0>(simd, block, x, sums);
    sums = add_pair::<S, F, PART, 2>(simd, block, x, sums);
    if F::Kind::HALVES == 2 {
        total = add_sums::<S, F, PART, 0>(simd, block, x, sums, total);
        sums = simd.start(x.starts[1]);
    }
    sums = add_pair::<S, F, PART, 4>(simd, block, x, sums);
    sums = add_pair::<S, F, PART, 6>(simd, block, x, sums);
    if F::Kind::HALVES == 2 {
        add_sums::<S, F, PART, 1>(simd, block, x, sums, total)
    } else {
        add_sums::<S, F, PART, 0>(simd, block, x, sums, total)
    }
}

/// Asks for what lies [`AHEAD_BYTES`] behind a part of a block. The processor looks ahead by itself, but carefully: it
/// stops at the end of each page.
#[inline(always)]
fn fetch_ahead<S: Integers, F: Grouped, const PART: usize>(simd: S, block: &[u8]) {
    let (start, end) = (PART * block.len() / F::PARTS, (PART + 1) * block.len() / F::PARTS);
    for line in (start..end).step_by(LINE_BYTES) {
        simd.fetch(block, line + AHEAD_BYTES);
    }
}

/// Two times four columns.
#[inline(always)]
fn add_pair<S: Integers, F: Grouped, const PART: usize, const NTH: usize>(
    simd: S,
    block: &[u8],
    x: &XPart,
    sums: S::Sums,
) -> S::Sums {
    let weights = [F::four(simd, block, PART, NTH), F::four(simd, block, PART, NTH + 1)];
    let x = [x.fours[NTH], x.fours[NTH + 1]];
    if F::Kind::SIGNED { simd.dot_signed(weights, x, sums) } else { simd.dot_unsigned(weights, x, sums) }
}

/// Scales sums and adds them to the total, and the minima.
#[inline(always)]
fn add_sums<S: Integers, F: Grouped, const PART: usize, const HALF: usize>(
    simd: S,
    block: &[u8],
    x: &XPart,
    sums: S::Sums,
    total: S::Rows,
) -> S::Rows {
    let scales = F::scales(simd, block, PART, HALF);
    let total = simd.mul_scale_add(simd.rows(sums), scales, x.scale, total);
    if F::Kind::MINIMA { simd.scale_add(F::minima(simd, block, PART, HALF), x.totals[HALF], total) } else { total }
}
