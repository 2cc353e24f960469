//! The formats as types, so that products are compiled for each. A block of weights is decoded into registers where
//! it is used and nowhere else.

use super::simd::{BLOCK, Simd};
use crate::{
    quant::{self, PART, Packed},
    tensor::Format,
};

/// How a format stores rows: in blocks of one or several times [`BLOCK`] numbers.
pub trait Stored {
    /// A block, as bytes.
    type Bytes;
    /// The format.
    const FORMAT: Format;
    /// How many times [`BLOCK`] numbers a block has.
    const PARTS: usize;
    /// Whether [`Self::decode`] leaves the scale to the caller.
    const SCALED: bool;
    /// A row's whole blocks, and the bytes behind them.
    fn blocks(row: &[u8]) -> (&[Self::Bytes], &[u8]);
    /// The numbers of a part.
    fn decode<S: Simd>(simd: S, bytes: &Self::Bytes, part: usize) -> S::Block;
    /// The scale of the block.
    fn scale<S: Simd>(simd: S, bytes: &Self::Bytes) -> f32;
}

macro_rules! stored {
    ($format:ident, $bytes:literal, $scaled:literal, |$simd:ident, $block:ident| $decode:expr) => {
        /// See [`Format`](crate::tensor::Format).
        pub struct $format;

        impl Stored for $format {
            type Bytes = [u8; $bytes];
            const FORMAT: Format = Format::$format;
            const PARTS: usize = 1;
            const SCALED: bool = $scaled;

            #[inline(always)]
            fn blocks(row: &[u8]) -> (&[Self::Bytes], &[u8]) {
                row.as_chunks()
            }

            #[inline(always)]
            fn decode<S: Simd>($simd: S, $block: &Self::Bytes, _part: usize) -> S::Block {
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

/// Blocks whose decoder is plain Rust, scales and all: loops over arrays, which the compiler turns into the vectors of
/// the instruction set that they are inlined into.
impl<B: Packed> Stored for B {
    type Bytes = B;
    const FORMAT: Format = B::FORMAT;
    const PARTS: usize = B::FORMAT.block_elements() / PART;
    const SCALED: bool = false;

    #[inline(always)]
    fn blocks(row: &[u8]) -> (&[B], &[u8]) {
        (quant::blocks(row), &[])
    }

    #[inline(always)]
    fn decode<S: Simd>(simd: S, block: &B, part: usize) -> S::Block {
        let mut numbers = [0.0; BLOCK];
        block.decode_part(part, &mut numbers);
        simd.load(&numbers)
    }

    #[inline(always)]
    fn scale<S: Simd>(_simd: S, _block: &B) -> f32 {
        1.0
    }
}

/// Calls a generic function with the type of a format.
macro_rules! with_format {
    ($format:expr, $W:ident => $call:expr) => {
        $crate::device::cpu::stored::match_format! { $format, $W => $call;
            F32: $crate::device::cpu::stored::F32,
            F16: $crate::device::cpu::stored::F16,
            BF16: $crate::device::cpu::stored::BF16,
            Q8_0: $crate::device::cpu::stored::Q8_0,
            Q4_0: $crate::device::cpu::stored::Q4_0,
            Q4_1: $crate::quant::q4_1::Block,
            Q5_0: $crate::quant::q5_0::Block,
            Q5_1: $crate::quant::q5_1::Block,
            Q2_K: $crate::quant::q2_k::Block,
            Q3_K: $crate::quant::q3_k::Block,
            Q4_K: $crate::quant::q4_k::Block,
            Q5_K: $crate::quant::q5_k::Block,
            Q6_K: $crate::quant::q6_k::Block,
            IQ4_NL: $crate::quant::iq4_nl::Block,
            IQ4_XS: $crate::quant::iq4_xs::Block,
            IQ3_XXS: $crate::quant::iq3_xxs::Block,
            IQ3_S: $crate::quant::iq3_s::Block,
            IQ2_XXS: $crate::quant::iq2_xxs::Block,
            IQ2_XS: $crate::quant::iq2_xs::Block,
            IQ2_S: $crate::quant::iq2_s::Block,
            TQ1_0: $crate::quant::tq1_0::Block,
            TQ2_0: $crate::quant::tq2_0::Block,
            MXFP4: $crate::quant::mxfp4::Block,
        }
    };
}
pub(super) use with_format;

macro_rules! match_format {
    ($format:expr, $W:ident => $call:expr; $($name:ident: $stored:ty,)+) => {
        match $format {
            $($crate::tensor::Format::$name => {
                type $W = $stored;
                $call
            })+
            // Strips have no rows to go through one by one: `super::trellis` multiplies them.
            $crate::tensor::Format::Trellis2
            | $crate::tensor::Format::Trellis3
            | $crate::tensor::Format::Trellis4
            | $crate::tensor::Format::Trellis5
            | $crate::tensor::Format::Trellis6
            | $crate::tensor::Format::Levels2 => {}
        }
    };
}
pub(super) use match_format;
