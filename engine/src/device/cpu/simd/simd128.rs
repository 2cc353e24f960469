//! WebAssembly: four lanes, and as many registers as the machine below has. No fused product and sum: a relaxed one
//! would round as the machine below likes, and the same model would write another text on another machine.

use std::arch::wasm32::*;

use super::{BLOCK, Simd};

/// Needs no proof: a module with these instructions is only loaded where they are.
#[derive(Clone, Copy)]
pub struct Simd128;

type Vector = v128;
type Block = [Vector; 8];

/// Sixteen bytes.
#[inline(always)]
fn load16<const AT: usize, const BYTES: usize>(from: &[u8; BYTES]) -> v128 {
    const { assert!(AT + 16 <= BYTES) };
    // SAFETY: the sixteen bytes lie within the array, and the instruction needs no alignment.
    unsafe { v128_load(from.as_ptr().add(AT).cast()) }
}

/// Four numbers.
#[inline(always)]
fn load4<const AT: usize>(from: &[f32; BLOCK]) -> v128 {
    const { assert!(AT + 4 <= BLOCK) };
    // SAFETY: the four numbers lie within the array.
    unsafe { v128_load(from.as_ptr().add(AT).cast()) }
}

/// Sixteen signed bytes to numbers.
#[inline(always)]
fn widen_i8(bytes: v128) -> [Vector; 4] {
    let (lower, upper) = (i16x8_extend_low_i8x16(bytes), i16x8_extend_high_i8x16(bytes));
    [
        f32x4_convert_i32x4(i32x4_extend_low_i16x8(lower)),
        f32x4_convert_i32x4(i32x4_extend_high_i16x8(lower)),
        f32x4_convert_i32x4(i32x4_extend_low_i16x8(upper)),
        f32x4_convert_i32x4(i32x4_extend_high_i16x8(upper)),
    ]
}

/// Thirty-two signed bytes to numbers.
#[inline(always)]
fn widen_block(lower: v128, upper: v128) -> Block {
    let ([a, b, c, d], [e, f, g, h]) = (widen_i8(lower), widen_i8(upper));
    [a, b, c, d, e, f, g, h]
}

/// Four binary16, each with its sign all over the upper half of a lane. Moving the bits up by 13 leaves an exponent
/// that is too small by 112: a product puts it right, for subnormal numbers too. What then is 2^16 or more had an
/// exponent of ones, for infinity or for what is not a number, and gets it back.
#[inline(always)]
pub(super) fn f16_to_f32(bits: v128) -> Vector {
    let moved = v128_and(i32x4_shl(bits, 13), u32x4_splat(0x8fff_e000));
    let value = f32x4_mul(moved, u32x4_splat((127 + 112) << 23));
    let special = f32x4_ge(f32x4_abs(value), f32x4_splat(65_536.0));
    v128_or(value, v128_and(special, u32x4_splat(0xff << 23)))
}

/// Eight binary16 to numbers.
#[inline(always)]
fn widen_f16(eight: v128) -> [Vector; 2] {
    [f16_to_f32(i32x4_extend_low_i16x8(eight)), f16_to_f32(i32x4_extend_high_i16x8(eight))]
}

/// Eight upper halves of numbers to numbers.
#[inline(always)]
fn widen_bf16(eight: v128) -> [Vector; 2] {
    [u32x4_shl(u32x4_extend_low_u16x8(eight), 16), u32x4_shl(u32x4_extend_high_u16x8(eight), 16)]
}

impl Simd for Simd128 {
    type Vector = Vector;
    type Block = Block;
    const TILE_TOKENS: usize = 4;
    const TILE_PASSES: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        f32x4_splat(value)
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        f32x4_div(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        f32x4_add(f32x4_mul(a, b), c)
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        // `pmax(b, a)` is `b < a ? a : b`: one instruction on x86-64, where `max` is several.
        f32x4_pmax(b, a)
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        f32x4_pmin(b, a)
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Vector) -> Vector {
        u32x4_shl(a, 23)
    }

    #[inline(always)]
    fn maximum(self, a: Vector) -> f32 {
        let two = f32x4_pmax(a, i64x2_shuffle::<1, 0>(a, a));
        f32x4_extract_lane::<0>(f32x4_pmax(two, i32x4_shuffle::<1, 0, 3, 2>(two, two)))
    }

    #[inline(always)]
    fn sum(self, a: Vector) -> f32 {
        let two = f32x4_add(a, i64x2_shuffle::<1, 0>(a, a));
        f32x4_extract_lane::<0>(f32x4_add(two, i32x4_shuffle::<1, 0, 3, 2>(two, two)))
    }

    #[inline(always)]
    fn dot_add(self, a: Block, b: Block, sums: [Vector; 2]) -> [Vector; 2] {
        super::dot_add!(self, a, b, sums, 0 1, 2 3, 4 5, 6 7)
    }

    #[inline(always)]
    fn load(self, from: &[f32; BLOCK]) -> Block {
        [
            load4::<0>(from),
            load4::<4>(from),
            load4::<8>(from),
            load4::<12>(from),
            load4::<16>(from),
            load4::<20>(from),
            load4::<24>(from),
            load4::<28>(from),
        ]
    }

    #[inline(always)]
    fn store(self, block: Block, to: &mut [f32; BLOCK]) {
        for (vector, to) in block.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: `to` is an array of the sixteen bytes that are written.
            unsafe { v128_store(to.as_mut_ptr().cast(), vector) };
        }
    }

    #[inline(always)]
    fn decode_f32(self, from: &[u8; 128]) -> Block {
        [
            load16::<0, 128>(from),
            load16::<16, 128>(from),
            load16::<32, 128>(from),
            load16::<48, 128>(from),
            load16::<64, 128>(from),
            load16::<80, 128>(from),
            load16::<96, 128>(from),
            load16::<112, 128>(from),
        ]
    }

    #[inline(always)]
    fn decode_f16(self, from: &[u8; 64]) -> Block {
        let ([a, b], [c, d]) = (widen_f16(load16::<0, 64>(from)), widen_f16(load16::<16, 64>(from)));
        let ([e, f], [g, h]) = (widen_f16(load16::<32, 64>(from)), widen_f16(load16::<48, 64>(from)));
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    fn decode_bf16(self, from: &[u8; 64]) -> Block {
        let ([a, b], [c, d]) = (widen_bf16(load16::<0, 64>(from)), widen_bf16(load16::<16, 64>(from)));
        let ([e, f], [g, h]) = (widen_bf16(load16::<32, 64>(from)), widen_bf16(load16::<48, 64>(from)));
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    fn decode_i8(self, from: &[u8; 32]) -> Block {
        widen_block(load16::<0, 32>(from), load16::<16, 32>(from))
    }

    #[inline(always)]
    fn decode_i4(self, from: &[u8; 16]) -> Block {
        let (bytes, eight) = (load16::<0, 16>(from), i8x16_splat(8));
        let lower = v128_and(bytes, u8x16_splat(15));
        widen_block(i8x16_sub(lower, eight), i8x16_sub(u8x16_shr(bytes, 4), eight))
    }

    #[inline(always)]
    fn f16(self, bits: [u8; 2]) -> f32 {
        crate::quant::f16_to_f32(u16::from_le_bytes(bits))
    }
}
