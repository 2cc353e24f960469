//! x86-64 with AVX-512 F: sixteen lanes, thirty-two registers.

use std::arch::x86_64::*;

use super::{BLOCK, Simd, Task, avx2::Avx2};

/// The proof that this machine has AVX-512 F and all that [`Avx2`] proves.
#[derive(Clone, Copy)]
pub struct Avx512(Avx2);

/// Calls intrinsics that need what [`Avx512`] proves.
macro_rules! avx512 {
    ($intrinsics:expr) => {
        // SAFETY: an `Avx512` is only made where the machine has the instructions, and each pointer comes from a
        // reference to an array of the size that the intrinsic reads or writes.
        unsafe { $intrinsics }
    };
}

type Vector = __m512;
type Block = [Vector; 2];

impl Avx512 {
    /// None if the machine lacks any of them.
    #[inline]
    pub fn detect() -> Option<Self> {
        if is_x86_feature_detected!("avx512f") { Avx2::detect().map(Self) } else { None }
    }

    /// Does the work with these instructions.
    pub fn run(self, task: impl Task) {
        #[target_feature(enable = "avx512f,avx2,fma,f16c")]
        fn enabled(simd: Avx512, task: impl Task) {
            task.run(simd);
        }
        avx512!(enabled(self, task));
    }
}

/// Sixteen upper halves of numbers to numbers.
#[inline(always)]
fn widen_bf16(sixteen: __m256i) -> Vector {
    avx512!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(sixteen))))
}

/// The sums of the lower and the upper eight lanes.
#[inline(always)]
fn add_halves(a: Vector) -> __m256 {
    avx512!({
        let upper = _mm512_castpd_ps(_mm512_castpd256_pd512(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a))));
        _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_castps512_ps256(upper))
    })
}

impl Simd for Avx512 {
    type Vector = Vector;
    type Block = Block;
    const TILE_TOKENS: usize = 12;
    const TILE_PASSES: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        avx512!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        avx512!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        avx512!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        avx512!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        avx512!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        avx512!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        avx512!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        avx512!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Vector) -> Vector {
        avx512!(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a))))
    }

    #[inline(always)]
    fn maximum(self, a: Vector) -> f32 {
        avx512!(_mm512_reduce_max_ps(a))
    }

    #[inline(always)]
    fn sum(self, a: Vector) -> f32 {
        self.0.sum(add_halves(a))
    }

    #[inline(always)]
    fn sum4(self, [a, b, c, d]: [Vector; 4]) -> [f32; 4] {
        self.0.sum4([add_halves(a), add_halves(b), add_halves(c), add_halves(d)])
    }

    #[inline(always)]
    fn dot_add(self, a: Block, b: Block, sums: [Vector; 2]) -> [Vector; 2] {
        super::dot_add!(self, a, b, sums, 0 1)
    }

    #[inline(always)]
    fn load(self, from: &[f32; BLOCK]) -> Block {
        let from = from.as_ptr();
        avx512!([_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))])
    }

    #[inline(always)]
    fn store(self, block: Block, to: &mut [f32; BLOCK]) {
        let to = to.as_mut_ptr();
        avx512!({
            _mm512_storeu_ps(to, block[0]);
            _mm512_storeu_ps(to.add(16), block[1]);
        });
    }

    #[inline(always)]
    fn decode_f32(self, from: &[u8; 128]) -> Block {
        let from = from.as_ptr().cast::<f32>();
        avx512!([_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))])
    }

    #[inline(always)]
    fn decode_f16(self, from: &[u8; 64]) -> Block {
        let from = from.as_ptr().cast::<__m256i>();
        avx512!([_mm512_cvtph_ps(_mm256_loadu_si256(from)), _mm512_cvtph_ps(_mm256_loadu_si256(from.add(1)))])
    }

    #[inline(always)]
    fn decode_bf16(self, from: &[u8; 64]) -> Block {
        let from = from.as_ptr().cast::<__m256i>();
        avx512!([widen_bf16(_mm256_loadu_si256(from)), widen_bf16(_mm256_loadu_si256(from.add(1)))])
    }

    #[inline(always)]
    fn decode_i8(self, from: &[u8; 32]) -> Block {
        let from = from.as_ptr().cast::<__m128i>();
        avx512!([
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from))),
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.add(1)))),
        ])
    }

    #[inline(always)]
    fn decode_i4(self, from: &[u8; 16]) -> Block {
        avx512!({
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let (mask, eight) = (_mm_set1_epi8(15), _mm_set1_epi8(8));
            let lower = _mm_sub_epi8(_mm_and_si128(bytes, mask), eight);
            let upper = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16::<4>(bytes), mask), eight);
            [_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(lower)), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(upper))]
        })
    }

    #[inline(always)]
    fn f16(self, bits: [u8; 2]) -> f32 {
        self.0.f16(bits)
    }
}
