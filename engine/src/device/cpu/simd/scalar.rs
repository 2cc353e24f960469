//! Plain Rust, for processors without any of the others and to compare them with. The compiler makes of its arrays
//! what the target's base instructions allow.

use super::{BLOCK, Simd};
use crate::quant::f16_to_f32;

const LANES: usize = 4;

/// Needs nothing.
#[derive(Clone, Copy)]
pub struct Scalar;

type Vector = [f32; LANES];

#[inline(always)]
fn map2(a: Vector, b: Vector, operation: impl Fn(f32, f32) -> f32) -> Vector {
    std::array::from_fn(|lane| operation(a[lane], b[lane]))
}

#[inline(always)]
fn block(number: impl Fn(usize) -> f32) -> [Vector; BLOCK / LANES] {
    std::array::from_fn(|vector| std::array::from_fn(|lane| number(vector * LANES + lane)))
}

impl Simd for Scalar {
    type Vector = Vector;
    type Block = [Vector; BLOCK / LANES];
    const TILE_TOKENS: usize = 4;
    const TILE_PASSES: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        [value; LANES]
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        map2(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        map2(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        // Not `f32::mul_add`: without an instruction for it, that is a call that computes it bit by bit.
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        map2(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        map2(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Vector) -> Vector {
        a.map(|a| f32::from_bits(a.to_bits() << 23))
    }

    #[inline(always)]
    fn maximum(self, a: Vector) -> f32 {
        a[0].max(a[1]).max(a[2].max(a[3]))
    }

    #[inline(always)]
    fn sum(self, a: Vector) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }

    #[inline(always)]
    fn dot_add(self, a: Self::Block, b: Self::Block, sums: [Vector; 2]) -> [Vector; 2] {
        super::dot_add!(self, a, b, sums, 0 1, 2 3, 4 5, 6 7)
    }

    #[inline(always)]
    fn load(self, from: &[f32; BLOCK]) -> Self::Block {
        block(|index| from[index])
    }

    #[inline(always)]
    fn store(self, block: Self::Block, to: &mut [f32; BLOCK]) {
        to.copy_from_slice(block.as_flattened());
    }

    #[inline(always)]
    fn decode_f32(self, from: &[u8; 128]) -> Self::Block {
        let (numbers, _) = from.as_chunks();
        block(|index| f32::from_le_bytes(numbers[index]))
    }

    #[inline(always)]
    fn decode_f16(self, from: &[u8; 64]) -> Self::Block {
        let (numbers, _) = from.as_chunks();
        block(|index| f16_to_f32(u16::from_le_bytes(numbers[index])))
    }

    #[inline(always)]
    fn decode_bf16(self, from: &[u8; 64]) -> Self::Block {
        let (numbers, _) = from.as_chunks();
        block(|index| f32::from_bits(u32::from(u16::from_le_bytes(numbers[index])) << 16))
    }

    #[inline(always)]
    fn decode_i8(self, from: &[u8; 32]) -> Self::Block {
        block(|index| f32::from(from[index] as i8))
    }

    #[inline(always)]
    fn decode_i4(self, from: &[u8; 16]) -> Self::Block {
        block(|index| {
            let nibble = if index < 16 { from[index] & 15 } else { from[index - 16] >> 4 };
            f32::from(nibble as i8 - 8)
        })
    }

    #[inline(always)]
    fn f16(self, bits: [u8; 2]) -> f32 {
        f16_to_f32(u16::from_le_bytes(bits))
    }
}
