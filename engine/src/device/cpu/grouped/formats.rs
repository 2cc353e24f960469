//! The interleaved formats as types, so that products are compiled for each. Where a field lies follows from
//! [`super::layout`]; what it means, from the format's file in [`crate::quant`].

use crate::{
    device::cpu::simd::{Integers, QUAD, ROWS},
    quant::{iq4_nl, mxfp4},
    tensor::Format,
};

/// What panels of a format have.
pub trait Kind {
    /// Scales for each 32 weights: 1, or 2 if each half has one.
    const HALVES: usize;
    /// Whether something is added to all weights.
    const MINIMA: bool;
    /// Whether weights have a sign; if not they are between 0 and 63.
    const SIGNED: bool;
}

/// Every combination there is.
pub struct Panels<const HALVES: usize, const MINIMA: bool, const SIGNED: bool>;

impl<const HALVES: usize, const MINIMA: bool, const SIGNED: bool> Kind for Panels<HALVES, MINIMA, SIGNED> {
    const HALVES: usize = HALVES;
    const MINIMA: bool = MINIMA;
    const SIGNED: bool = SIGNED;
}

/// How the format of a group is read. A weight is its whole number less [`Self::OFFSET`], times the row's scale, plus
/// the row's minimum.
pub trait Grouped {
    /// A block of each row.
    type Block: AsRef<[u8]>;
    /// What it takes.
    type Kind: Kind;
    /// How many times 32 weights of a row a block has: 1 or 8.
    const PARTS: usize;
    /// What is taken off each weight; 0 if they have a sign.
    const OFFSET: i32;

    /// The blocks of a group.
    fn blocks(group: &[u8]) -> &[Self::Block];
    /// The weights from `32 part + 4 nth` on.
    fn four<S: Integers>(simd: S, block: &[u8], part: usize, nth: usize) -> S::Bytes;
    /// The scale of each row.
    fn scales<S: Integers>(simd: S, block: &[u8], part: usize, half: usize) -> S::Rows;
    /// The minimum of each row.
    #[inline(always)]
    fn minima<S: Integers>(simd: S, _block: &[u8], _part: usize, _half: usize) -> S::Rows {
        simd.splat_rows(0.0)
    }
}

/// Some bytes of a block.
#[inline(always)]
fn at<const COUNT: usize>(block: &[u8], start: usize) -> &[u8; COUNT] {
    match block[start..].first_chunk() {
        Some(bytes) => bytes,
        None => &[0; COUNT],
    }
}

/// Four bytes of each row: the `nth` of those from `start` on.
#[inline(always)]
fn fours<S: Integers>(simd: S, block: &[u8], start: usize, nth: usize) -> S::Bytes {
    simd.load_bytes(at::<QUAD>(block, start + nth * QUAD))
}

/// Nibbles as they lie in Q4_0: the lower ones first.
#[inline(always)]
fn nibbles<S: Integers>(simd: S, block: &[u8], start: usize, nth: usize) -> S::Bytes {
    simd.bits(fours(simd, block, start, nth % 4), nth as i32 / 4 * 4, 15)
}

/// Two bits as they lie in Q2_K.
#[inline(always)]
fn twos<S: Integers>(simd: S, block: &[u8], start: usize, part: usize, nth: usize) -> S::Bytes {
    simd.bits(fours(simd, block, start, part / 4 * 8 + nth), part as i32 % 4 * 2, 3)
}

/// A binary16 of each row.
#[inline(always)]
fn f16<S: Integers>(simd: S, block: &[u8], start: usize) -> S::Rows {
    simd.rows_f16(at(block, start))
}

/// A byte of each row, the `nth` of those from `start` on.
#[inline(always)]
fn bytes(block: &[u8], start: usize, nth: usize) -> &[u8; ROWS] {
    at(block, start + nth * ROWS)
}

/// A number for each row, from a byte or two of it.
#[inline(always)]
fn rows_of<S: Integers>(simd: S, a: &[u8; ROWS], b: &[u8; ROWS], number: impl Fn(u8, u8) -> i8) -> S::Rows {
    let mut numbers = [0; ROWS];
    for (number_of_row, (a, b)) in numbers.iter_mut().zip(a.iter().zip(b)) {
        *number_of_row = number(*a, *b);
    }
    simd.rows_i8(numbers)
}

macro_rules! grouped {
    ($format:ident, $parts:literal, $kind:ty, $offset:literal, |$simd:ident, $block:ident, $part:ident, $nth:ident|
        four $four:expr, scales |$half:ident| $scales:expr $(, minima $minima:expr)?) => {
        /// See [`Format`](crate::tensor::Format).
        #[allow(non_camel_case_types, reason = "these are the names that files and people use")]
        pub struct $format;

        #[allow(unused_variables, reason = "not every format needs all of them")]
        impl Grouped for $format {
            type Block = [u8; ROWS * Format::$format.block_bytes()];
            type Kind = $kind;
            const PARTS: usize = $parts;
            const OFFSET: i32 = $offset;

            #[inline(always)]
            fn blocks(group: &[u8]) -> &[Self::Block] {
                group.as_chunks().0
            }

            #[inline(always)]
            fn four<S: Integers>($simd: S, $block: &[u8], $part: usize, $nth: usize) -> S::Bytes {
                $four
            }

            #[inline(always)]
            fn scales<S: Integers>($simd: S, $block: &[u8], $part: usize, $half: usize) -> S::Rows {
                $scales
            }

            $(
                #[inline(always)]
                fn minima<S: Integers>($simd: S, $block: &[u8], $part: usize, $half: usize) -> S::Rows {
                    $minima
                }
            )?
        }
    };
}

grouped! { Q8_0, 1, Panels<1, false, true>, 0, |simd, block, _part, nth|
    four simd.bias(fours(simd, block, 32, nth)),
    scales |_half| f16(simd, block, 0)
}
grouped! { Q4_0, 1, Panels<1, false, false>, 8, |simd, block, _part, nth|
    four nibbles(simd, block, 32, nth),
    scales |_half| f16(simd, block, 0)
}
grouped! { Q4_1, 1, Panels<1, true, false>, 0, |simd, block, _part, nth|
    four nibbles(simd, block, 64, nth),
    scales |_half| f16(simd, block, 0),
    minima f16(simd, block, 32)
}
grouped! { Q5_0, 1, Panels<1, false, false>, 16, |simd, block, _part, nth|
    four simd.or(nibbles(simd, block, 96, nth), simd.bits(fours(simd, block, 32, 0), nth as i32 - 4, 16)),
    scales |_half| f16(simd, block, 0)
}
grouped! { Q5_1, 1, Panels<1, true, false>, 0, |simd, block, _part, nth|
    four simd.or(nibbles(simd, block, 128, nth), simd.bits(fours(simd, block, 64, 0), nth as i32 - 4, 16)),
    scales |_half| f16(simd, block, 0),
    minima f16(simd, block, 32)
}
grouped! { IQ4_NL, 1, Panels<1, false, true>, 0, |simd, block, _part, nth|
    four simd.bias(simd.look_up(&IQ4_VALUES, nibbles(simd, block, 32, nth))),
    scales |_half| f16(simd, block, 0)
}
grouped! { MXFP4, 1, Panels<1, false, true>, 0, |simd, block, _part, nth|
    four simd.bias(simd.look_up(&MXFP4_VALUES, nibbles(simd, block, 16, nth))),
    scales |_half| simd.load_rows(&at::<ROWS>(block, 0).map(mxfp4::half_scale))
}
grouped! { Q2_K, 8, Panels<2, true, false>, 0, |simd, block, part, nth|
    four twos(simd, block, 256, part, nth),
    scales |half| {
        let both = bytes(block, 0, 2 * part + half);
        simd.mul_rows(f16(simd, block, 1280), rows_of(simd, both, both, |both, _| (both & 15) as i8))
    },
    minima {
        let both = bytes(block, 0, 2 * part + half);
        simd.mul_rows(f16(simd, block, 1312), rows_of(simd, both, both, |both, _| -((both >> 4) as i8)))
    }
}
grouped! { Q3_K, 8, Panels<2, false, false>, 4, |simd, block, part, nth|
    four simd.or(twos(simd, block, 512, part, nth), simd.bits(fours(simd, block, 0, nth), part as i32 - 2, 4)),
    scales |half| {
        let index = 2 * part + half;
        let (low, high) = (bytes(block, 1536, index % 8), bytes(block, 1664, index % 4));
        let scale = |low: u8, high: u8| ((low >> (index / 8 * 4) & 15 | (high >> (index / 4 * 2) & 3) << 4) as i8) - 32;
        simd.mul_rows(f16(simd, block, 1728), rows_of(simd, low, high, scale))
    }
}
grouped! { Q4_K, 8, Panels<1, true, false>, 0, |simd, block, part, nth|
    four simd.bits(fours(simd, block, 256, part / 2 * 8 + nth), part as i32 % 2 * 4, 15),
    scales |_half| simd.mul_rows(f16(simd, block, 0), sixes(simd, block, part)),
    minima simd.mul_rows(f16(simd, block, 32), less_sixes(simd, block, part))
}
grouped! { Q5_K, 8, Panels<1, true, false>, 0, |simd, block, part, nth|
    four simd.or(
        simd.bits(fours(simd, block, 768, part / 2 * 8 + nth), part as i32 % 2 * 4, 15),
        simd.bits(fours(simd, block, 256, nth), part as i32 - 4, 16),
    ),
    scales |_half| simd.mul_rows(f16(simd, block, 0), sixes(simd, block, part)),
    minima simd.mul_rows(f16(simd, block, 32), less_sixes(simd, block, part))
}
grouped! { Q6_K, 8, Panels<2, false, false>, 32, |simd, block, part, nth|
    four {
        let (half, quarter) = (part / 4, part % 4);
        let lower = fours(simd, block, 0, half * 16 + quarter % 2 * 8 + nth);
        let upper = fours(simd, block, 2048, half * 8 + nth);
        simd.or(simd.bits(lower, quarter as i32 / 2 * 4, 15), simd.bits(upper, quarter as i32 * 2 - 4, 48))
    },
    scales |half| {
        let scales = bytes(block, 3072, 2 * part + half);
        simd.mul_rows(f16(simd, block, 3328), rows_of(simd, scales, scales, |scale, _| scale as i8))
    }
}
grouped! { IQ4_XS, 8, Panels<1, false, true>, 0, |simd, block, part, nth|
    four simd.bias(simd.look_up(&IQ4_VALUES, nibbles(simd, block, 128 + 4 * QUAD * part, nth))),
    scales |_half| {
        let high = at::<{ 2 * ROWS }>(block, 32);
        let mut upper = [0_u8; ROWS];
        for (upper, high) in upper.iter_mut().zip(high.as_chunks::<2>().0) {
            *upper = high[part / 4] >> (part % 4 * 2) & 3;
        }
        let scale = |low: u8, high: u8| ((low >> (part % 2 * 4) & 15 | high << 4) as i8) - 32;
        simd.mul_rows(f16(simd, block, 0), rows_of(simd, bytes(block, 64, part / 2), &upper, scale))
    }
}
grouped! { TQ2_0, 8, Panels<1, false, false>, 1, |simd, block, part, nth|
    four twos(simd, block, 0, part, nth),
    scales |_half| f16(simd, block, 1024)
}

/// The scales of Q4_K and Q5_K; see [`crate::quant::q4_k`].
#[inline(always)]
fn sixes<S: Integers>(simd: S, block: &[u8], part: usize) -> S::Rows {
    let lane = part % 4;
    let (first, third) = (bytes(block, 64, lane), bytes(block, 64, lane + 8));
    let six = |first: u8, third: u8| if part < 4 { first & 63 } else { third & 15 | first >> 6 << 4 };
    rows_of(simd, first, third, |first, third| six(first, third) as i8)
}

/// Their minima, negative.
#[inline(always)]
fn less_sixes<S: Integers>(simd: S, block: &[u8], part: usize) -> S::Rows {
    let lane = part % 4;
    let (second, third) = (bytes(block, 64, lane + 4), bytes(block, 64, lane + 8));
    let six = |second: u8, third: u8| if part < 4 { second & 63 } else { third >> 4 | second >> 6 << 4 };
    rows_of(simd, second, third, |second, third| -(six(second, third) as i8))
}

/// Whole numbers as bytes.
const fn whole(values: [f32; 16]) -> [i8; 16] {
    let mut bytes = [0; 16];
    let mut index = 0;
    while index < 16 {
        bytes[index] = values[index] as i8;
        index += 1;
    }
    bytes
}

static IQ4_VALUES: [i8; 16] = whole(iq4_nl::VALUES);
static MXFP4_VALUES: [i8; 16] = whole(mxfp4::VALUES);

/// Calls a generic function with the type of a format that has one; others give `$otherwise`.
macro_rules! with_grouped {
    ($format:expr, $F:ident => $call:expr, $otherwise:expr) => {
        $crate::device::cpu::grouped::formats::match_grouped! { $format, $F => $call, $otherwise;
            Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL MXFP4 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS TQ2_0
        }
    };
}
pub(super) use with_grouped;

macro_rules! match_grouped {
    ($format:expr, $F:ident => $call:expr, $otherwise:expr; $($name:ident)+) => {
        match $format {
            $($crate::tensor::Format::$name => {
                type $F = $crate::device::cpu::grouped::formats::$name;
                $call
            })+
            _ => $otherwise,
        }
    };
}
pub(super) use match_grouped;
