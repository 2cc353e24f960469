//! x86-64 with AVX2, FMA and F16C: eight lanes, sixteen registers.

use std::arch::x86_64::*;

use super::{BLOCK, Simd, Task};

/// The proof that this machine has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub struct Avx2(());

/// Calls intrinsics that need what [`Avx2`] proves.
macro_rules! avx2 {
    ($intrinsics:expr) => {
        // SAFETY: an `Avx2` is only made where the machine has the instructions, and each pointer comes from a
        // reference to an array of the size that the intrinsic reads or writes.
        unsafe { $intrinsics }
    };
}

type Vector = __m256;
type Block = [Vector; 4];

impl Avx2 {
    /// None if the machine lacks any of the three.
    #[inline]
    pub fn detect() -> Option<Self> {
        let all =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        all.then_some(Self(()))
    }

    /// Does the work with these instructions.
    pub fn run(self, task: impl Task) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn enabled(simd: Avx2, task: impl Task) {
            task.run(simd);
        }
        avx2!(enabled(self, task));
    }
}

/// Signed bytes to numbers.
#[inline(always)]
fn widen_i8(lower: __m128i, upper: __m128i) -> Block {
    avx2!([
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(lower)),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(lower, lower))),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper)),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(upper, upper))),
    ])
}

/// Eight upper halves of numbers to numbers.
#[inline(always)]
fn widen_bf16(eight: __m128i) -> Vector {
    avx2!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(eight))))
}

impl Simd for Avx2 {
    type Vector = Vector;
    type Block = Block;
    const TILE_TOKENS: usize = 6;
    const TILE_PASSES: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        avx2!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        avx2!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        avx2!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        avx2!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        avx2!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        avx2!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        avx2!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        avx2!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Vector) -> Vector {
        avx2!(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a))))
    }

    #[inline(always)]
    fn maximum(self, a: Vector) -> f32 {
        avx2!({
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn sum(self, a: Vector) -> f32 {
        avx2!({
            let pairs = _mm256_hadd_ps(a, a);
            let fours = _mm256_hadd_ps(pairs, pairs);
            _mm_cvtss_f32(_mm_add_ss(_mm256_castps256_ps128(fours), _mm256_extractf128_ps::<1>(fours)))
        })
    }

    #[inline(always)]
    fn sum4(self, [a, b, c, d]: [Vector; 4]) -> [f32; 4] {
        avx2!({
            // In each half: a pair of sums for each vector, then one.
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
            let mut out = [0.0; 4];
            _mm_storeu_ps(out.as_mut_ptr(), sums);
            out
        })
    }

    #[inline(always)]
    fn dot_add(self, a: Block, b: Block, sums: [Vector; 2]) -> [Vector; 2] {
        super::dot_add!(self, a, b, sums, 0 1, 2 3)
    }

    #[inline(always)]
    fn load(self, from: &[f32; BLOCK]) -> Block {
        let from = from.as_ptr();
        avx2!([
            _mm256_loadu_ps(from),
            _mm256_loadu_ps(from.add(8)),
            _mm256_loadu_ps(from.add(16)),
            _mm256_loadu_ps(from.add(24)),
        ])
    }

    #[inline(always)]
    fn store(self, block: Block, to: &mut [f32; BLOCK]) {
        let to = to.as_mut_ptr();
        avx2!({
            _mm256_storeu_ps(to, block[0]);
            _mm256_storeu_ps(to.add(8), block[1]);
            _mm256_storeu_ps(to.add(16), block[2]);
            _mm256_storeu_ps(to.add(24), block[3]);
        });
    }

    #[inline(always)]
    fn decode_f32(self, from: &[u8; 128]) -> Block {
        let from = from.as_ptr().cast::<f32>();
        avx2!([
            _mm256_loadu_ps(from),
            _mm256_loadu_ps(from.add(8)),
            _mm256_loadu_ps(from.add(16)),
            _mm256_loadu_ps(from.add(24)),
        ])
    }

    #[inline(always)]
    fn decode_f16(self, from: &[u8; 64]) -> Block {
        let from = from.as_ptr().cast::<__m128i>();
        avx2!([
            _mm256_cvtph_ps(_mm_loadu_si128(from)),
            _mm256_cvtph_ps(_mm_loadu_si128(from.add(1))),
            _mm256_cvtph_ps(_mm_loadu_si128(from.add(2))),
            _mm256_cvtph_ps(_mm_loadu_si128(from.add(3))),
        ])
    }

    #[inline(always)]
    fn decode_bf16(self, from: &[u8; 64]) -> Block {
        let from = from.as_ptr().cast::<__m128i>();
        avx2!([
            widen_bf16(_mm_loadu_si128(from)),
            widen_bf16(_mm_loadu_si128(from.add(1))),
            widen_bf16(_mm_loadu_si128(from.add(2))),
            widen_bf16(_mm_loadu_si128(from.add(3))),
        ])
    }

    #[inline(always)]
    fn decode_i8(self, from: &[u8; 32]) -> Block {
        let from = from.as_ptr().cast::<__m128i>();
        avx2!(widen_i8(_mm_loadu_si128(from), _mm_loadu_si128(from.add(1))))
    }

    #[inline(always)]
    fn decode_i4(self, from: &[u8; 16]) -> Block {
        avx2!({
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let (mask, eight) = (_mm_set1_epi8(15), _mm_set1_epi8(8));
            let lower = _mm_and_si128(bytes, mask);
            let upper = _mm_and_si128(_mm_srli_epi16::<4>(bytes), mask);
            widen_i8(_mm_sub_epi8(lower, eight), _mm_sub_epi8(upper, eight))
        })
    }

    #[inline(always)]
    fn f16(self, bits: [u8; 2]) -> f32 {
        avx2!(_mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(u16::from_le_bytes(bits).into()))))
    }
}
