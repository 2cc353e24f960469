//! 64-bit ARM: sixteen rows are four registers. With the product instructions of ARMv8.2 (`dotprod`) four products and
//! their sum are one instruction; without, products of 16 bits are added up in pairs, and each row's sum is in two
//! terms until the end. With those of ARMv8.6 (`i8mm`) two rows meet two tokens, eight columns at once, in one
//! instruction: for that a panel has eight columns of a row beside each other.

use std::arch::{aarch64::*, asm};

use super::{Four, IntegerTask, Integers, QUAD, ROWS, Windows};
use crate::{device::cpu::simd::neon::widen_f16, quant::trellis::MULTIPLIER};

/// The proof that this machine has NEON, the product instructions of ARMv8.2 if `DOTPROD`, and those of ARMv8.6 if `I8MM`.
#[derive(Clone, Copy)]
pub struct Bytes128<const DOTPROD: bool, const I8MM: bool>(());

/// Without the product instructions.
pub type NeonIntegers = Bytes128<false, false>;

/// With those of ARMv8.2.
pub type NeonDotprod = Bytes128<true, false>;

/// With both.
pub type NeonI8mm = Bytes128<true, true>;

/// Calls intrinsics that need what [`Bytes128`] proves.
macro_rules! neon {
    ($intrinsics:expr) => {
        // SAFETY: a `Bytes128` is only made where the machine has the instructions, with those for products if it says
        // so, and each pointer comes from a reference to an array of the size that the intrinsic reads or writes.
        unsafe { $intrinsics }
    };
}

impl<const DOTPROD: bool, const I8MM: bool> Bytes128<DOTPROD, I8MM> {
    /// None if the machine lacks any of them.
    #[inline]
    pub fn detect() -> Option<Self> {
        let dotprod = !DOTPROD || std::arch::is_aarch64_feature_detected!("dotprod");
        let i8mm = !I8MM || std::arch::is_aarch64_feature_detected!("i8mm");
        (std::arch::is_aarch64_feature_detected!("neon") && dotprod && i8mm).then_some(Self(()))
    }

    /// Does the work with these instructions. The product instruction is in assembly, which needs no permission from
    /// the compiler.
    pub fn run(self, task: impl IntegerTask) {
        #[target_feature(enable = "neon")]
        fn enabled(simd: impl Integers, task: impl IntegerTask) {
            task.run(simd);
        }
        neon!(enabled(self, task));
    }
}

/// Four products and their sum, for each of four rows. In assembly, because the intrinsic is not stable.
#[inline(always)]
fn sdot(mut sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    neon!(asm!(
        ".arch_extension dotprod",
        "sdot {sums:v}.4s, {weights:v}.16b, {x:v}.16b",
        sums = inout(vreg) sums, weights = in(vreg) weights, x = in(vreg) x,
        options(pure, nomem, nostack, preserves_flags),
    ));
    sums
}

/// Eight products and their sum, for each of two rows with each of two tokens. In assembly, as above.
#[inline(always)]
fn smmla(mut sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    neon!(asm!(
        ".arch_extension i8mm",
        "smmla {sums:v}.4s, {weights:v}.16b, {x:v}.16b",
        sums = inout(vreg) sums, weights = in(vreg) weights, x = in(vreg) x,
        options(pure, nomem, nostack, preserves_flags),
    ));
    sums
}

/// Four rows' products: the first two rows' in the first vector.
#[inline(always)]
fn pairs(weights: int8x16_t, x: int8x16_t, lower: int32x4_t, upper: int32x4_t) -> (int32x4_t, int32x4_t) {
    neon!((
        vpadalq_s16(lower, vmull_s8(vget_low_s8(weights), vget_low_s8(x))),
        vpadalq_s16(upper, vmull_high_s8(weights, x)),
    ))
}

impl<const DOTPROD: bool, const I8MM: bool> Integers for Bytes128<DOTPROD, I8MM> {
    type Bytes = [uint8x16_t; 4];
    /// Without the product instructions four rows after the other in two vectors each, else the first four alone.
    type Sums = [int32x4_t; 8];
    type Rows = [float32x4_t; 4];
    const SUMS_TOKENS: usize = if DOTPROD { 2 } else { 1 };
    const PAIRS: bool = I8MM;
    const BIAS: i32 = 0;
    type Share = Self;

    #[inline(always)]
    fn share(self, _nth: usize) -> Self {
        self
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; QUAD]) -> [uint8x16_t; 4] {
        let from = from.as_ptr();
        neon!([vld1q_u8(from), vld1q_u8(from.add(16)), vld1q_u8(from.add(32)), vld1q_u8(from.add(48))])
    }

    #[inline(always)]
    fn store_bytes(self, bytes: [uint8x16_t; 4], to: &mut [u8; QUAD]) {
        for (bytes, to) in bytes.into_iter().zip(to.as_chunks_mut::<16>().0) {
            neon!(vst1q_u8(to.as_mut_ptr(), bytes));
        }
    }

    #[inline(always)]
    fn bits(self, bytes: [uint8x16_t; 4], shift: i32, mask: u8) -> [uint8x16_t; 4] {
        // A negative count moves down.
        bytes.map(|bytes| neon!(vandq_u8(vshlq_u8(bytes, vdupq_n_s8(-shift as i8)), vdupq_n_u8(mask))))
    }

    #[inline(always)]
    fn or(self, a: [uint8x16_t; 4], b: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        neon!([vorrq_u8(a[0], b[0]), vorrq_u8(a[1], b[1]), vorrq_u8(a[2], b[2]), vorrq_u8(a[3], b[3])])
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        let table = neon!(vreinterpretq_u8_s8(vld1q_s8(table.as_ptr())));
        bytes.map(|bytes| neon!(vqtbl1q_u8(table, bytes)))
    }

    #[inline(always)]
    fn bias(self, bytes: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        bytes
    }

    #[inline(always)]
    fn start(self, sum: i32) -> [int32x4_t; 8] {
        if DOTPROD {
            return neon!([vdupq_n_s32(sum); 8]);
        }
        // Each row's sum is that of two lanes: the first takes it.
        [neon!(vld1q_s32([sum, 0, sum, 0].as_ptr())); 8]
    }

    #[inline(always)]
    fn dot_unsigned(self, weights: [[uint8x16_t; 4]; 2], x: [Four; 2], sums: [int32x4_t; 8]) -> [int32x4_t; 8] {
        self.dot_signed(weights, x, sums)
    }

    #[inline(always)]
    fn dot_signed(self, weights: [[uint8x16_t; 4]; 2], x: [Four; 2], mut sums: [int32x4_t; 8]) -> [int32x4_t; 8] {
        for (weights, x) in weights.into_iter().zip(x) {
            let x = neon!(vreinterpretq_s8_s32(vdupq_n_s32(x)));
            for (four, weights) in weights.into_iter().enumerate() {
                let weights = neon!(vreinterpretq_s8_u8(weights));
                if DOTPROD {
                    sums[four] = sdot(sums[four], weights, x);
                } else {
                    (sums[2 * four], sums[2 * four + 1]) = pairs(weights, x, sums[2 * four], sums[2 * four + 1]);
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn dot_sevens(self, weights: [uint8x16_t; 4], x: Four, mut sums: [int32x4_t; 8]) -> [int32x4_t; 8] {
        let x = neon!(vreinterpretq_s8_s32(vdupq_n_s32(x)));
        for (four, weights) in weights.into_iter().enumerate() {
            let weights = neon!(vreinterpretq_s8_u8(weights));
            if DOTPROD {
                sums[four] = sdot(sums[four], weights, x);
            } else {
                (sums[2 * four], sums[2 * four + 1]) = pairs(weights, x, sums[2 * four], sums[2 * four + 1]);
            }
        }
        sums
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> [uint8x16_t; 4] {
        let column = neon!(vld1q_u8(from.as_ptr()));
        std::array::from_fn(|four| {
            neon!({
                let picked = vqtbl1q_u8(column, vld1q_u8(windows.picks.as_ptr().add(16 * four)));
                // A negative count moves down.
                let down = vnegq_s32(vreinterpretq_s32_u32(vld1q_u32(windows.shifts.as_ptr().add(4 * four))));
                let window = vandq_u32(vshlq_u32(vreinterpretq_u32_u8(picked), down), vdupq_n_u32(windows.window_mask));
                let product = vmulq_u32(window, vdupq_n_u32(MULTIPLIER));
                vreinterpretq_u8_u32(vandq_u32(product, vdupq_n_u32(windows.code_mask)))
            })
        })
    }

    #[inline(always)]
    fn rows(self, sums: [int32x4_t; 8]) -> [float32x4_t; 4] {
        std::array::from_fn(|four| {
            neon!(if DOTPROD {
                vcvtq_f32_s32(sums[four])
            } else {
                vcvtq_f32_s32(vpaddq_s32(sums[2 * four], sums[2 * four + 1]))
            })
        })
    }

    #[inline(always)]
    fn store_columns(self, [a, b]: [[uint8x16_t; 4]; 2], to: &mut [[u8; QUAD]; 2]) {
        if !I8MM {
            self.store_bytes(a, &mut to[0]);
            self.store_bytes(b, &mut to[1]);
            return;
        }
        // Eight columns of a row beside each other, two rows in each vector.
        for ((a, b), to) in a.into_iter().zip(b).zip(to.as_flattened_mut().as_chunks_mut::<32>().0) {
            neon!({
                let (a, b) = (vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b));
                vst1q_u8(to.as_mut_ptr(), vreinterpretq_u8_u32(vzip1q_u32(a, b)));
                vst1q_u8(to.as_mut_ptr().add(16), vreinterpretq_u8_u32(vzip2q_u32(a, b)));
            });
        }
    }

    #[inline(always)]
    fn start_pair(self, sums: [i32; 2]) -> [[int32x4_t; 8]; 2] {
        if !I8MM {
            return sums.map(|sum| self.start(sum));
        }
        // Two rows in each vector, and of each row the sums of both tokens; the second array is of no use.
        let start = neon!(vld1q_s32([sums[0], sums[1], sums[0], sums[1]].as_ptr()));
        [[start; 8]; 2]
    }

    #[inline(always)]
    fn dot_pair(
        self,
        weights: [[uint8x16_t; 4]; 2],
        x: [[Four; 2]; 2],
        [mut sums, other]: [[int32x4_t; 8]; 2],
    ) -> [[int32x4_t; 8]; 2] {
        if !I8MM {
            return [self.dot_signed(weights, x[0], sums), self.dot_signed(weights, x[1], other)];
        }
        let x = neon!(vreinterpretq_s8_s32(vld1q_s32(x.as_flattened().as_ptr())));
        for (sums, weights) in sums.iter_mut().zip(weights.into_iter().flatten()) {
            *sums = smmla(*sums, neon!(vreinterpretq_s8_u8(weights)), x);
        }
        [sums, other]
    }

    #[inline(always)]
    fn rows_pair(self, [sums, other]: [[int32x4_t; 8]; 2]) -> [[float32x4_t; 4]; 2] {
        if !I8MM {
            return [self.rows(sums), self.rows(other)];
        }
        let four = |nth: usize| (sums[2 * nth], sums[2 * nth + 1]);
        [
            std::array::from_fn(|nth| neon!(vcvtq_f32_s32(vuzp1q_s32(four(nth).0, four(nth).1)))),
            std::array::from_fn(|nth| neon!(vcvtq_f32_s32(vuzp2q_s32(four(nth).0, four(nth).1)))),
        ]
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> [float32x4_t; 4] {
        let from = from.as_ptr();
        neon!([vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))])
    }

    #[inline(always)]
    fn store_rows(self, rows: [float32x4_t; 4], to: &mut [f32; ROWS]) {
        for (rows, to) in rows.into_iter().zip(to.as_chunks_mut::<4>().0) {
            neon!(vst1q_f32(to.as_mut_ptr(), rows));
        }
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> [float32x4_t; 4] {
        let [lower, upper] = [0, 16].map(|at| neon!(vreinterpretq_u16_u8(vld1q_u8(from.as_ptr().add(at)))));
        let ([a, b], [c, d]) = (widen_f16(lower), widen_f16(upper));
        [a, b, c, d]
    }

    #[inline(always)]
    fn mul_rows(self, a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        neon!([vmulq_f32(a[0], b[0]), vmulq_f32(a[1], b[1]), vmulq_f32(a[2], b[2]), vmulq_f32(a[3], b[3])])
    }

    #[inline(always)]
    fn scale_add(self, a: [float32x4_t; 4], b: f32, c: [float32x4_t; 4]) -> [float32x4_t; 4] {
        std::array::from_fn(|four| neon!(vfmaq_n_f32(c[four], a[four], b)))
    }

    #[inline(always)]
    fn mul_scale_add(
        self,
        a: [float32x4_t; 4],
        b: [float32x4_t; 4],
        scale: f32,
        c: [float32x4_t; 4],
    ) -> [float32x4_t; 4] {
        std::array::from_fn(|four| neon!(vfmaq_f32(c[four], vmulq_n_f32(a[four], scale), b[four])))
    }
}
