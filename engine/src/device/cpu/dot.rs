//! Dot products of rows as they are stored with a vector of activations. Several rows share what is loaded of the
//! vector, and each sums up in several registers, so that no addition waits for the one before.

use super::{
    simd::{BLOCK, Simd},
    stored::Stored,
};

/// A row on its way through a vector of activations. Several go side by side, one call after the other and not in a
/// loop: what a loop would index has to lie in memory.
struct Row<'a, S: Simd, W: Stored> {
    blocks: &'a [W::Bytes],
    rest: &'a [u8],
    sums: [S::Vector; 2],
}

impl<'a, S: Simd, W: Stored> Row<'a, S, W> {
    /// `count` is how many blocks `x` has; knowing that the row has as many, the compiler checks no index.
    #[inline(always)]
    fn new(simd: S, bytes: &'a [u8], count: usize) -> Self {
        let (blocks, rest) = W::blocks(bytes);
        Self { blocks: &blocks[..count.div_ceil(W::PARTS)], rest, sums: [simd.splat(0.0); 2] }
    }

    #[inline(always)]
    fn add(&mut self, simd: S, index: usize, x: S::Block) {
        let bytes = &self.blocks[index / W::PARTS];
        let weights = W::decode(simd, bytes, index % W::PARTS);
        self.sums = if W::SCALED {
            let scale = simd.splat(W::scale(simd, bytes));
            let [even, odd] = simd.dot_add(weights, x, [simd.splat(0.0); 2]);
            [simd.mul_add(scale, even, self.sums[0]), simd.mul_add(scale, odd, self.sums[1])]
        } else {
            simd.dot_add(weights, x, self.sums)
        };
    }

    #[inline(always)]
    fn add_rest(&mut self, simd: S, x_rest: &[f32]) {
        let weights = simd.load(&decode_rest::<W>(self.rest, x_rest.len()));
        self.sums = simd.dot_add(weights, simd.load(&padded(x_rest)), self.sums);
    }

    #[inline(always)]
    fn sums(&self, simd: S) -> S::Vector {
        simd.add(self.sums[0], self.sums[1])
    }
}

/// The products of four rows with `x`.
#[inline(always)]
pub fn dot4<S: Simd, W: Stored>(simd: S, rows: [&[u8]; 4], x: &[f32]) -> [f32; 4] {
    let (blocks, rest) = x.as_chunks::<BLOCK>();
    let mut a = Row::<S, W>::new(simd, rows[0], blocks.len());
    let mut b = Row::<S, W>::new(simd, rows[1], blocks.len());
    let mut c = Row::<S, W>::new(simd, rows[2], blocks.len());
    let mut d = Row::<S, W>::new(simd, rows[3], blocks.len());
    for (index, x) in blocks.iter().enumerate() {
        let x = simd.load(x);
        a.add(simd, index, x);
        b.add(simd, index, x);
        c.add(simd, index, x);
        d.add(simd, index, x);
    }
    if !rest.is_empty() {
        a.add_rest(simd, rest);
        b.add_rest(simd, rest);
        c.add_rest(simd, rest);
        d.add_rest(simd, rest);
    }
    simd.sum4([a.sums(simd), b.sums(simd), c.sums(simd), d.sums(simd)])
}

/// The product of one row with `x`, the same to the last bit as among four.
#[inline(always)]
pub fn dot1<S: Simd, W: Stored>(simd: S, row: &[u8], x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<BLOCK>();
    let mut row = Row::<S, W>::new(simd, row, blocks.len());
    for (index, x) in blocks.iter().enumerate() {
        row.add(simd, index, simd.load(x));
    }
    if !rest.is_empty() {
        row.add_rest(simd, rest);
    }
    simd.sum(row.sums(simd))
}

/// A row's numbers behind its last whole block, and zeros; only the formats that store each number alone have any.
#[inline(always)]
pub fn decode_rest<W: Stored>(bytes: &[u8], count: usize) -> [f32; BLOCK] {
    let mut numbers = [0.0; BLOCK];
    crate::quant::decode_row(W::FORMAT, bytes, &mut numbers[..count]);
    numbers
}

/// Fewer than [`BLOCK`] numbers, and zeros.
#[inline(always)]
pub fn padded(numbers: &[f32]) -> [f32; BLOCK] {
    let mut block = [0.0; BLOCK];
    block[..numbers.len()].copy_from_slice(numbers);
    block
}
