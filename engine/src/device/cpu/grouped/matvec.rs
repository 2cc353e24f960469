//! One vector: each group of rows is read once, from beginning to end, several groups at the same time. For the formats
//! that models come in most, nothing of it is written; others go through panels, as a batch of one.

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
        simd::{IntegerTask, Integers, ROWS, SHARES_MAX},
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
    let rows = weights.rows.div_ceil(parts).next_multiple_of(ROWS * level.streams());
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
        // A block of 256 columns keeps a stream busy for long enough by itself.
        let streams = if F::PARTS == 1 { S::STREAMS } else { 1 };
        match streams {
            8 => self.multiply_streams::<S, F, 8>(simd),
            4 => self.multiply_streams::<S, F, 4>(simd),
            2 => self.multiply_streams::<S, F, 2>(simd),
            _ => self.multiply_streams::<S, F, 1>(simd),
        }
    }

    /// A stream is as many groups, one behind the other, as every other stream. While one waits for memory, at the
    /// beginning of a page above all, others have theirs.
    #[inline(always)]
    fn multiply_streams<S: Integers, F: Grouped, const STREAMS: usize>(mut self, simd: S) {
        let groups = self.out.len().div_ceil(ROWS);
        let length = groups / STREAMS;
        for nth in 0..length {
            self.multiply_groups::<S, F, STREAMS>(simd, std::array::from_fn(|stream| stream * length + nth));
        }
        for rest in STREAMS * length..groups {
            self.multiply_groups::<S, F, 1>(simd, [rest]);
        }
    }

    #[inline(always)]
    fn multiply_groups<S: Integers, F: Grouped, const COUNT: usize>(&mut self, simd: S, groups: [usize; COUNT]) {
        let group_bytes = self.weights.group_bytes();
        let blocks = groups.map(|group| F::blocks(&self.weights.bytes[group * group_bytes..][..group_bytes]));
        let products = products::<S, F, COUNT>(simd, blocks, self.x);
        for (group, products) in groups.into_iter().zip(products) {
            for (out, product) in self.out[group * ROWS..].iter_mut().zip(products) {
                *out = if self.accumulate { *out + product } else { product };
            }
        }
    }
}

/// The products of some groups' rows with `x`.
#[inline(always)]
fn products<S: Integers, F: Grouped, const COUNT: usize>(
    simd: S,
    groups: [&[F::Block]; COUNT],
    x: &[XPart],
) -> [[f32; ROWS]; COUNT] {
    let mut products = [[0.0; ROWS]; COUNT];
    if F::PARTS > 1 {
        // What unpacks scales and minima does so for all rows.
        let mut totals = [simd.splat_rows(0.0); COUNT];
        for (nth, x) in x.chunks_exact(F::PARTS).enumerate() {
            add_blocks::<S, F, COUNT>(simd, groups.map(|blocks| blocks[nth].as_ref()), x, &mut totals);
        }
        for (total, products) in totals.into_iter().zip(&mut products) {
            simd.store_rows(total, products);
        }
        return products;
    }
    let mut totals = [[simd.share(0).splat_rows(0.0); COUNT]; SHARES_MAX];
    for (nth, x) in x.chunks_exact(F::PARTS).enumerate() {
        let blocks = groups.map(|blocks| blocks[nth].as_ref());
        for (share, totals) in totals[..S::SHARES].iter_mut().enumerate() {
            add_blocks::<S::Share, F, COUNT>(simd.share(share), blocks, x, totals);
        }
    }
    for (share, totals) in totals[..S::SHARES].iter().enumerate() {
        for (total, products) in totals.iter().zip(&mut products) {
            simd.share(share).store_rows(*total, products);
        }
    }
    products
}

/// Adds the products with a block's activations.
#[inline(always)]
fn add_blocks<S: Integers, F: Grouped, const COUNT: usize>(
    simd: S,
    blocks: [&[u8]; COUNT],
    x: &[XPart],
    totals: &mut [S::Rows; COUNT],
) {
    add_part::<S, F, 0, COUNT>(simd, blocks, x, totals);
    if F::PARTS == 8 {
        // Written out, so that each has its shifts and masks in its instructions.
        add_part::<S, F, 1, COUNT>(simd, blocks, x, totals);
        add_part::<S, F, 2, COUNT>(simd, blocks, x, totals);
        add_part::<S, F, 3, COUNT>(simd, blocks, x, totals);
        add_part::<S, F, 4, COUNT>(simd, blocks, x, totals);
        add_part::<S, F, 5, COUNT>(simd, blocks, x, totals);
        add_part::<S, F, 6, COUNT>(simd, blocks, x, totals);
        add_part::<S, F, 7, COUNT>(simd, blocks, x, totals);
    }
}

/// Adds the products with 32 activations.
#[inline(always)]
fn add_part<S: Integers, F: Grouped, const PART: usize, const COUNT: usize>(
    simd: S,
    blocks: [&[u8]; COUNT],
    x: &[XPart],
    totals: &mut [S::Rows; COUNT],
) {
    let x = &x[PART];
    for block in blocks {
        fetch_ahead::<S, F, PART>(simd, block);
    }
    let mut sums = [simd.start(x.starts[0]); COUNT];
    if F::Kind::HALVES == 1 {
        // Of both halves at a time: where they are the halves of bytes, these are loaded once.
        for nth in 0..simd.fours() {
            add_pairs::<S, F, PART, COUNT>(simd, blocks, x, [nth % 4, nth % 4 + 4], &mut sums);
        }
        add_sums::<S, F, PART, 0, COUNT>(simd, blocks, x, sums, totals);
    } else {
        for nth in 0..simd.fours() / 2 {
            add_pairs::<S, F, PART, COUNT>(simd, blocks, x, [nth % 2 * 2, nth % 2 * 2 + 1], &mut sums);
        }
        add_sums::<S, F, PART, 0, COUNT>(simd, blocks, x, sums, totals);
        sums = [simd.start(x.starts[1]); COUNT];
        for nth in 0..simd.fours() / 2 {
            add_pairs::<S, F, PART, COUNT>(simd, blocks, x, [nth % 2 * 2 + 4, nth % 2 * 2 + 5], &mut sums);
        }
        add_sums::<S, F, PART, 1, COUNT>(simd, blocks, x, sums, totals);
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
fn add_pairs<S: Integers, F: Grouped, const PART: usize, const COUNT: usize>(
    simd: S,
    blocks: [&[u8]; COUNT],
    x: &XPart,
    [first, second]: [usize; 2],
    sums: &mut [S::Sums; COUNT],
) {
    let x = [x.fours[first], x.fours[second]];
    for (block, sums) in blocks.into_iter().zip(sums) {
        let weights = [F::four(simd, block, PART, first), F::four(simd, block, PART, second)];
        *sums = if F::Kind::SIGNED { simd.dot_signed(weights, x, *sums) } else { simd.dot_unsigned(weights, x, *sums) };
    }
}

/// Scales sums and adds them to the totals, and the minima.
#[inline(always)]
fn add_sums<S: Integers, F: Grouped, const PART: usize, const HALF: usize, const COUNT: usize>(
    simd: S,
    blocks: [&[u8]; COUNT],
    x: &XPart,
    sums: [S::Sums; COUNT],
    totals: &mut [S::Rows; COUNT],
) {
    for ((block, sums), total) in blocks.into_iter().zip(sums).zip(totals) {
        *total = simd.mul_scale_add(simd.rows(sums), F::scales(simd, block, PART, HALF), x.scale, *total);
        if F::Kind::MINIMA {
            *total = simd.scale_add(F::minima(simd, block, PART, HALF), x.totals[HALF], *total);
        }
    }
}
