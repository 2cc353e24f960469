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

/// The products of `ROWS` rows with `x`.
#[inline(always)]
pub fn dots<S: Simd, W: Stored, const ROWS: usize>(simd: S, rows: [&[u8]; ROWS], x: &[f32]) -> [f32; ROWS] {
    let (x_blocks, x_rest) = x.as_chunks::<BLOCK>();
    let mut sums = [[simd.splat(0.0); 2]; ROWS];
    let mut blocks: [&[W::Bytes]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        // All of one length, so that the loop below needs no checks.
        blocks[row] = &W::blocks(rows[row]).0[..x_blocks.len()];
    }
    for (index, x) in x_blocks.iter().enumerate() {
        let x = simd.load(x);
        for row in 0..ROWS {
            let bytes = &blocks[row][index];
            let weights = W::decode(simd, bytes);
            sums[row] = if W::SCALED {
                let scale = simd.splat(W::scale(simd, bytes));
                let [even, odd] = multiply_add::<S>(simd, &weights, &x, [simd.splat(0.0); 2]);
                [simd.mul_add(scale, even, sums[row][0]), simd.mul_add(scale, odd, sums[row][1])]
            } else {
                multiply_add::<S>(simd, &weights, &x, sums[row])
            };
        }
    }
    let mut folded = [simd.splat(0.0); ROWS];
    for row in 0..ROWS {
        folded[row] = simd.add(sums[row][0], sums[row][1]);
    }
    let mut totals = sum_each(simd, folded);
    if !x_rest.is_empty() {
        let x = simd.load(&padded(x_rest));
        for row in 0..ROWS {
            let weights = simd.load(&decode_rest::<W>(W::blocks(rows[row]).1, x_rest.len()));
            let [even, odd] = multiply_add::<S>(simd, &weights, &x, [simd.splat(0.0); 2]);
            totals[row] += simd.sum(simd.add(even, odd));
        }
    }
    totals
}

/// The sum of each vector.
#[inline(always)]
pub fn sum_each<S: Simd, const COUNT: usize>(simd: S, vectors: [S::Vector; COUNT]) -> [f32; COUNT] {
    let mut sums = [0.0; COUNT];
    let ((fours, rest), (sums_of_fours, sums_of_rest)) = (vectors.as_chunks(), sums.as_chunks_mut());
    for (sums, vectors) in sums_of_fours.iter_mut().zip(fours) {
        *sums = simd.sum4(*vectors);
    }
    for (sum, vector) in sums_of_rest.iter_mut().zip(rest) {
        *sum = simd.sum(*vector);
    }
    sums
}

/// Adds the products of two blocks to two vectors of sums, in turn.
#[inline(always)]
fn multiply_add<S: Simd>(simd: S, a: &S::Block, b: &S::Block, mut sums: [S::Vector; 2]) -> [S::Vector; 2] {
    for (index, (a, b)) in a.as_ref().iter().zip(b.as_ref()).enumerate() {
        sums[index % 2] = simd.mul_add(*a, *b, sums[index % 2]);
    }
    sums
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
