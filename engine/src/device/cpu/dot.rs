//! Dot products of rows as they are stored with a vector of activations. Several rows share what is loaded of the
//! vector, and each sums up in several registers, so that no addition waits for the one before.

use super::simd::{BLOCK, Simd};
use crate::tensor::Format;

/// How a format stores [`BLOCK`] numbers.
pub trait Stored {
    /// Them, as bytes.
    type Bytes;
    /// The format.
    const FORMAT: Format;
    /// Whether each block has a scale.
    const SCALED: bool;
    /// A row's whole blocks, and the bytes behind them.
    fn blocks(row: &[u8]) -> (&[Self::Bytes], &[u8]);
    /// The numbers, without the scale.
    fn decode<S: Simd>(simd: S, bytes: &Self::Bytes) -> S::Block;
    /// The scale.
    fn scale<S: Simd>(simd: S, bytes: &Self::Bytes) -> f32;
}

/// Every format, as a type.
pub mod stored {
    /// See [`Format`](crate::tensor::Format).
    pub struct F32;
    /// See [`Format`](crate::tensor::Format).
    pub struct F16;
    /// See [`Format`](crate::tensor::Format).
    pub struct BF16;
    /// See [`Format`](crate::tensor::Format).
    pub struct Q8_0;
    /// See [`Format`](crate::tensor::Format).
    pub struct Q4_0;
}

macro_rules! stored {
    ($format:ident, $bytes:literal, $scaled:literal, |$simd:ident, $block:ident| $decode:expr) => {
        impl Stored for stored::$format {
            type Bytes = [u8; $bytes];
            const FORMAT: Format = Format::$format;
            const SCALED: bool = $scaled;

            #[inline(always)]
            fn blocks(row: &[u8]) -> (&[Self::Bytes], &[u8]) {
                row.as_chunks()
            }

            #[inline(always)]
            fn decode<S: Simd>($simd: S, $block: &Self::Bytes) -> S::Block {
                $decode
            }

            #[inline(always)]
            fn scale<S: Simd>(simd: S, bytes: &Self::Bytes) -> f32 {
                if Self::SCALED { simd.f16([bytes[0], bytes[1]]) } else { 1.0 }
            }
        }
    };
}

stored!(F32, 128, false, |simd, bytes| simd.decode_f32(bytes));
stored!(F16, 64, false, |simd, bytes| simd.decode_f16(bytes));
stored!(BF16, 64, false, |simd, bytes| simd.decode_bf16(bytes));
stored!(Q8_0, 34, true, |simd, bytes| simd.decode_i8(after_scale(bytes)));
stored!(Q4_0, 18, true, |simd, bytes| simd.decode_i4(after_scale(bytes)));

/// The last `REST` of a block's bytes.
#[inline(always)]
fn after_scale<const REST: usize>(bytes: &[u8]) -> &[u8; REST] {
    match bytes.last_chunk() {
        Some(rest) => rest,
        None => &[0; REST],
    }
}

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
        Self { blocks: &blocks[..count], rest, sums: [simd.splat(0.0); 2] }
    }

    #[inline(always)]
    fn add(&mut self, simd: S, index: usize, x: S::Block) {
        let bytes = &self.blocks[index];
        let weights = W::decode(simd, bytes);
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

/// Calls a generic function with the type of a format.
macro_rules! with_format {
    ($format:expr, $W:ident => $call:expr) => {
        match $format {
            $crate::tensor::Format::F32 => {
                type $W = $crate::device::cpu::dot::stored::F32;
                $call
            }
            $crate::tensor::Format::F16 => {
                type $W = $crate::device::cpu::dot::stored::F16;
                $call
            }
            $crate::tensor::Format::BF16 => {
                type $W = $crate::device::cpu::dot::stored::BF16;
                $call
            }
            $crate::tensor::Format::Q8_0 => {
                type $W = $crate::device::cpu::dot::stored::Q8_0;
                $call
            }
            $crate::tensor::Format::Q4_0 => {
                type $W = $crate::device::cpu::dot::stored::Q4_0;
                $call
            }
        }
    };
}
pub(super) use with_format;
