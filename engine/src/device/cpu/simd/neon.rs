//! 64-bit ARM: four lanes, thirty-two registers.

use std::arch::aarch64::*;

use super::{BLOCK, Simd, Task};

/// The proof that this machine has NEON; every 64-bit ARM with an operating system does.
#[derive(Clone, Copy)]
pub struct Neon(());

/// Calls intrinsics that need what [`Neon`] proves.
macro_rules! neon {
    ($intrinsics:expr) => {
        // SAFETY: a `Neon` is only made where the machine has the instructions, and each pointer comes from a
        // reference to an array of the size that the intrinsic reads or writes.
        unsafe { $intrinsics }
    };
}

type Vector = float32x4_t;
type Block = [Vector; 8];

impl Neon {
    /// None if the machine lacks it.
    #[inline]
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Does the work with these instructions.
    pub fn run(self, task: impl Task) {
        #[target_feature(enable = "neon")]
        fn enabled(simd: Neon, task: impl Task) {
            task.run(simd);
        }
        neon!(enabled(self, task));
    }
}

/// Sixteen signed bytes to numbers.
#[inline(always)]
fn widen_i8(bytes: int8x16_t) -> [Vector; 4] {
    neon!({
        let (lower, upper) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
        [
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(lower))),
            vcvtq_f32_s32(vmovl_high_s16(lower)),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(upper))),
            vcvtq_f32_s32(vmovl_high_s16(upper)),
        ]
    })
}

/// Thirty-two signed bytes to numbers.
#[inline(always)]
fn widen_block(lower: int8x16_t, upper: int8x16_t) -> Block {
    let ([a, b, c, d], [e, f, g, h]) = (widen_i8(lower), widen_i8(upper));
    [a, b, c, d, e, f, g, h]
}

/// Eight binary16 to numbers.
#[inline(always)]
pub(super) fn widen_f16(eight: uint16x8_t) -> [Vector; 2] {
    neon!({
        let halves = vreinterpretq_f16_u16(eight);
        [vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)]
    })
}

/// Eight upper halves of numbers to numbers.
#[inline(always)]
fn widen_bf16(eight: uint16x8_t) -> [Vector; 2] {
    neon!([
        vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(eight))),
        vreinterpretq_f32_u32(vshll_high_n_u16::<16>(eight)),
    ])
}

impl Simd for Neon {
    type Vector = Vector;
    type Block = Block;
    const TILE_TOKENS: usize = 6;
    const TILE_PASSES: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        neon!(vdupq_n_f32(value))
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        neon!(vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        neon!(vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        neon!(vmulq_f32(a, b))
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        neon!(vdivq_f32(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        neon!(vfmaq_f32(c, a, b))
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        // Not a number if either is not; `a` always is one.
        neon!(vmaxq_f32(a, b))
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        neon!(vminq_f32(a, b))
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Vector) -> Vector {
        neon!(vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(a))))
    }

    #[inline(always)]
    fn maximum(self, a: Vector) -> f32 {
        neon!(vmaxvq_f32(a))
    }

    #[inline(always)]
    fn sum(self, a: Vector) -> f32 {
        neon!(vaddvq_f32(a))
    }

    #[inline(always)]
    fn sum4(self, [a, b, c, d]: [Vector; 4]) -> [f32; 4] {
        neon!({
            let sums = vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
            let mut out = [0.0; 4];
            vst1q_f32(out.as_mut_ptr(), sums);
            out
        })
    }

    #[inline(always)]
    fn dot_add(self, a: Block, b: Block, sums: [Vector; 2]) -> [Vector; 2] {
        super::dot_add!(self, a, b, sums, 0 1, 2 3, 4 5, 6 7)
    }

    #[inline(always)]
    fn load(self, from: &[f32; BLOCK]) -> Block {
        let from = from.as_ptr();
        neon!([
            vld1q_f32(from),
            vld1q_f32(from.add(4)),
            vld1q_f32(from.add(8)),
            vld1q_f32(from.add(12)),
            vld1q_f32(from.add(16)),
            vld1q_f32(from.add(20)),
            vld1q_f32(from.add(24)),
            vld1q_f32(from.add(28)),
        ])
    }

    #[inline(always)]
    fn store(self, block: Block, to: &mut [f32; BLOCK]) {
        for (vector, to) in block.into_iter().zip(to.as_chunks_mut::<4>().0) {
            neon!(vst1q_f32(to.as_mut_ptr(), vector));
        }
    }

    #[inline(always)]
    fn decode_f32(self, from: &[u8; 128]) -> Block {
        let from = from.as_ptr();
        neon!([
            vreinterpretq_f32_u8(vld1q_u8(from)),
            vreinterpretq_f32_u8(vld1q_u8(from.add(16))),
            vreinterpretq_f32_u8(vld1q_u8(from.add(32))),
            vreinterpretq_f32_u8(vld1q_u8(from.add(48))),
            vreinterpretq_f32_u8(vld1q_u8(from.add(64))),
            vreinterpretq_f32_u8(vld1q_u8(from.add(80))),
            vreinterpretq_f32_u8(vld1q_u8(from.add(96))),
            vreinterpretq_f32_u8(vld1q_u8(from.add(112))),
        ])
    }

    #[inline(always)]
    fn decode_f16(self, from: &[u8; 64]) -> Block {
        let from = from.as_ptr();
        neon!({
            let [a, b] = widen_f16(vreinterpretq_u16_u8(vld1q_u8(from)));
            let [c, d] = widen_f16(vreinterpretq_u16_u8(vld1q_u8(from.add(16))));
            let [e, f] = widen_f16(vreinterpretq_u16_u8(vld1q_u8(from.add(32))));
            let [g, h] = widen_f16(vreinterpretq_u16_u8(vld1q_u8(from.add(48))));
            [a, b, c, d, e, f, g, h]
        })
    }

    #[inline(always)]
    fn decode_bf16(self, from: &[u8; 64]) -> Block {
        let from = from.as_ptr();
        neon!({
            let [a, b] = widen_bf16(vreinterpretq_u16_u8(vld1q_u8(from)));
            let [c, d] = widen_bf16(vreinterpretq_u16_u8(vld1q_u8(from.add(16))));
            let [e, f] = widen_bf16(vreinterpretq_u16_u8(vld1q_u8(from.add(32))));
            let [g, h] = widen_bf16(vreinterpretq_u16_u8(vld1q_u8(from.add(48))));
            [a, b, c, d, e, f, g, h]
        })
    }

    #[inline(always)]
    fn decode_i8(self, from: &[u8; 32]) -> Block {
        let from = from.as_ptr().cast::<i8>();
        neon!(widen_block(vld1q_s8(from), vld1q_s8(from.add(16))))
    }

    #[inline(always)]
    fn decode_i4(self, from: &[u8; 16]) -> Block {
        neon!({
            let (bytes, eight) = (vld1q_u8(from.as_ptr()), vdupq_n_s8(8));
            let lower = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
            let upper = vreinterpretq_s8_u8(vshrq_n_u8::<4>(bytes));
            widen_block(vsubq_s8(lower, eight), vsubq_s8(upper, eight))
        })
    }

    #[inline(always)]
    fn f16(self, bits: [u8; 2]) -> f32 {
        neon!(vgetq_lane_f32::<0>(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(u16::from_le_bytes(bits))))))
    }
}
