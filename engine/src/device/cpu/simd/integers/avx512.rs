//! x86-64 with AVX-512 F, BW and VNNI: sixteen rows fill a register, and four products and their sum are one
//! instruction.

use std::arch::x86_64::*;

use super::{Columns, Four, IntegerTask, Integers, QUAD, ROWS, Windows, part};
use crate::quant::trellis::MULTIPLIER;

/// The proof that this machine has AVX-512 F, BW and VNNI, and VBMI if it says so.
#[derive(Clone, Copy)]
pub struct Bytes512<const VBMI: bool>(());

/// Without VBMI.
pub type Avx512Vnni = Bytes512<false>;

/// With it (2019 and later), which takes bits from any place of eight bytes.
pub type Avx512Vbmi = Bytes512<true>;

/// Calls intrinsics that need what [`Bytes512`] proves.
macro_rules! avx512 {
    ($intrinsics:expr) => {
        // SAFETY: a `Bytes512` is only made where the machine has the instructions, and each pointer comes from a
        // reference to an array of the size that the intrinsic reads or writes.
        unsafe { $intrinsics }
    };
}

impl<const VBMI: bool> Bytes512<VBMI> {
    /// None if the machine lacks any of them.
    #[inline]
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
            && (!VBMI || is_x86_feature_detected!("avx512vbmi"));
        all.then_some(Self(()))
    }
}

impl Avx512Vbmi {
    /// Does the work with these instructions.
    pub fn run(self, task: impl IntegerTask) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
        fn enabled(simd: Avx512Vbmi, task: impl IntegerTask) {
            task.run(simd);
        }
        avx512!(enabled(self, task));
    }
}

impl Avx512Vnni {
    /// Does the work with these instructions.
    pub fn run(self, task: impl IntegerTask) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        fn enabled(simd: Avx512Vnni, task: impl IntegerTask) {
            task.run(simd);
        }
        avx512!(enabled(self, task));
    }
}

impl<const VBMI: bool> Integers for Bytes512<VBMI> {
    type Bytes = __m512i;
    type Sums = __m512i;
    type Rows = __m512;
    const SUMS_TOKENS: usize = 12;
    // The instruction multiplies bytes without a sign by bytes with one.
    const BIAS: i32 = 128;
    const STREAMS: usize = 4;
    type Share = Self;

    #[inline(always)]
    fn share(self, _nth: usize) -> Self {
        self
    }

    #[inline(always)]
    fn fetch(self, from: &[u8], ahead: usize) {
        // SAFETY: a request for memory reads nothing, and one for an address where there is none is ignored.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(ahead).cast()) };
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; QUAD]) -> __m512i {
        avx512!(_mm512_loadu_si512(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn store_bytes(self, bytes: __m512i, to: &mut [u8; QUAD]) {
        avx512!(_mm512_storeu_si512(to.as_mut_ptr().cast(), bytes));
    }

    #[inline(always)]
    fn bits(self, bytes: __m512i, shift: i32, mask: u8) -> __m512i {
        avx512!({
            let moved = if shift < 0 {
                _mm512_sll_epi16(bytes, _mm_cvtsi32_si128(-shift))
            } else {
                _mm512_srl_epi16(bytes, _mm_cvtsi32_si128(shift))
            };
            _mm512_and_si512(moved, _mm512_set1_epi8(mask as i8))
        })
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        avx512!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: __m512i) -> __m512i {
        avx512!(_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast())), bytes))
    }

    #[inline(always)]
    fn bias(self, bytes: __m512i) -> __m512i {
        avx512!(_mm512_xor_si512(bytes, _mm512_set1_epi8(-128)))
    }

    #[inline(always)]
    fn start(self, sum: i32) -> __m512i {
        avx512!(_mm512_set1_epi32(sum))
    }

    #[inline(always)]
    fn dot_unsigned(self, [a, b]: [__m512i; 2], x: [Four; 2], sums: __m512i) -> __m512i {
        avx512!({
            let sums = _mm512_dpbusd_epi32(sums, a, _mm512_set1_epi32(x[0]));
            _mm512_dpbusd_epi32(sums, b, _mm512_set1_epi32(x[1]))
        })
    }

    #[inline(always)]
    fn dot_signed(self, weights: [__m512i; 2], x: [Four; 2], sums: __m512i) -> __m512i {
        self.dot_unsigned(weights, x, sums)
    }

    #[inline(always)]
    fn dot_sevens(self, weights: __m512i, x: Four, sums: __m512i) -> __m512i {
        avx512!(_mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(x)))
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> __m512i {
        avx512!({
            let column = _mm512_broadcast_i32x4(_mm_loadu_si128(from.as_ptr().cast()));
            let picked = _mm512_shuffle_epi8(column, _mm512_loadu_si512(windows.picks.as_ptr().cast()));
            let moved = _mm512_srlv_epi32(picked, _mm512_loadu_si512(windows.shifts.as_ptr().cast()));
            let window = _mm512_and_si512(moved, _mm512_set1_epi32(windows.window_mask as i32));
            let product = _mm512_mullo_epi32(window, _mm512_set1_epi32(MULTIPLIER as i32));
            _mm512_and_si512(product, _mm512_set1_epi32(windows.code_mask as i32))
        })
    }

    #[inline(always)]
    fn dot_columns(self, ring: &[u8], [a, b]: [usize; 2], windows: &Windows, x: Columns, sums: __m512i) -> __m512i {
        let Some(from) = ring[a..].first_chunk::<QUAD>().filter(|_| VBMI) else {
            let sums = self.dot_sevens(self.window_bytes(part(ring, a), windows), x.each[0], sums);
            return self.dot_sevens(self.window_bytes(part(ring, b), windows), x.each[1], sums);
        };
        // Windows as halves of a row's word, those of the first column in the lower ones: a product of 16 by 32 bits is
        // three of 16 by 16. Both halves of it are added up as bytes, which do not pass 254.
        avx512!({
            let picked = _mm512_permutexvar_epi8(self.load_bytes(&windows.pair_picks), self.load_bytes(from));
            let window = _mm512_multishift_epi64_epi8(self.load_bytes(&windows.pair_shifts), picked);
            let window = _mm512_and_si512(window, _mm512_set1_epi16(windows.window_mask as i16));
            let (low, high) = (_mm512_set1_epi16(MULTIPLIER as i16), _mm512_set1_epi16((MULTIPLIER >> 16) as i16));
            let lower = _mm512_mullo_epi16(window, low);
            let upper = _mm512_add_epi16(_mm512_mulhi_epu16(window, low), _mm512_mullo_epi16(window, high));
            let mask = _mm512_set1_epi32(windows.code_mask as i32);
            let bytes = _mm512_add_epi8(_mm512_and_si512(lower, mask), _mm512_and_si512(upper, mask));
            _mm512_dpbusd_epi32(sums, bytes, _mm512_set1_epi32(x.both))
        })
    }

    #[inline(always)]
    fn rows(self, sums: __m512i) -> __m512 {
        avx512!(_mm512_cvtepi32_ps(sums))
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> __m512 {
        avx512!(_mm512_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn store_rows(self, rows: __m512, to: &mut [f32; ROWS]) {
        avx512!(_mm512_storeu_ps(to.as_mut_ptr(), rows));
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> __m512 {
        avx512!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn mul_rows(self, a: __m512, b: __m512) -> __m512 {
        avx512!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn scale_add(self, a: __m512, b: f32, c: __m512) -> __m512 {
        avx512!(_mm512_fmadd_ps(a, _mm512_set1_ps(b), c))
    }

    #[inline(always)]
    fn mul_scale_add(self, a: __m512, b: __m512, scale: f32, c: __m512) -> __m512 {
        avx512!(_mm512_fmadd_ps(_mm512_mul_ps(a, _mm512_set1_ps(scale)), b, c))
    }

    #[inline(always)]
    fn rows_i8(self, from: [i8; ROWS]) -> __m512 {
        avx512!(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))))
    }
}
