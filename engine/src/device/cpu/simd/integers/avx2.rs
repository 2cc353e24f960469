//! x86-64 with AVX2: sixteen rows are two registers. With AVX-VNNI four products and their sum are one instruction.

use std::arch::x86_64::*;

use super::{Four, IntegerTask, Integers, QUAD, ROWS, Windows};
use crate::quant::trellis::MULTIPLIER;

/// The proof that this machine has AVX2, FMA and F16C, and AVX-VNNI if `VNNI`.
#[derive(Clone, Copy)]
pub struct Bytes256<const VNNI: bool>(());

/// Without AVX-VNNI.
pub type Avx2Integers = Bytes256<false>;

/// With it.
pub type AvxVnni = Bytes256<true>;

/// Calls intrinsics that need what [`Bytes256`] proves.
macro_rules! avx2 {
    ($intrinsics:expr) => {
        // SAFETY: a `Bytes256` is only made where the machine has the instructions, with VNNI if it says so, and each
        // pointer comes from a reference to an array of the size that the intrinsic reads or writes.
        unsafe { $intrinsics }
    };
}

impl<const VNNI: bool> Bytes256<VNNI> {
    /// None if the machine lacks any of them.
    #[inline]
    pub fn detect() -> Option<Self> {
        let base =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        (base && (!VNNI || is_x86_feature_detected!("avxvnni"))).then_some(Self(()))
    }
}

impl Avx2Integers {
    /// Does the work with these instructions.
    pub fn run(self, task: impl IntegerTask) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn enabled(simd: Avx2Integers, task: impl IntegerTask) {
            task.run(simd);
        }
        avx2!(enabled(self, task));
    }
}

impl AvxVnni {
    /// Does the work with these instructions.
    pub fn run(self, task: impl IntegerTask) {
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        fn enabled(simd: AvxVnni, task: impl IntegerTask) {
            task.run(simd);
        }
        avx2!(enabled(self, task));
    }
}

#[inline(always)]
fn dot_unsigned<const VNNI: bool>([a, b]: [__m256i; 2], x: [Four; 2], sums: __m256i) -> __m256i {
    avx2!({
        let (x, y) = (_mm256_set1_epi32(x[0]), _mm256_set1_epi32(x[1]));
        if VNNI {
            _mm256_dpbusd_avx_epi32(_mm256_dpbusd_avx_epi32(sums, a, x), b, y)
        } else {
            // At most 4 * 63 * 127: no lane of 16 bits overflows.
            let pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a, x), _mm256_maddubs_epi16(b, y));
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    })
}

#[inline(always)]
fn dot_sevens<const VNNI: bool>(weights: __m256i, x: Four, sums: __m256i) -> __m256i {
    avx2!({
        let x = _mm256_set1_epi32(x);
        if VNNI {
            _mm256_dpbusd_avx_epi32(sums, weights, x)
        } else {
            // At most 2 * 127 * 127: no lane of 16 bits overflows.
            _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(weights, x), _mm256_set1_epi16(1)))
        }
    })
}

/// The weight's sign goes over to the activation: 2 * 128 * 127 just fits a lane of 16 bits.
#[inline(always)]
fn dot_signed(weights: __m256i, x: Four, sums: __m256i) -> __m256i {
    avx2!({
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(_mm256_set1_epi32(x), weights));
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    })
}

impl<const VNNI: bool> Integers for Bytes256<VNNI> {
    type Bytes = [__m256i; 2];
    type Sums = [__m256i; 2];
    type Rows = [__m256; 2];
    const SUMS_TOKENS: usize = 2;
    // VNNI multiplies bytes without a sign by bytes with one.
    const BIAS: i32 = if VNNI { 128 } else { 0 };
    const STREAMS: usize = 2;
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
    fn load_bytes(self, from: &[u8; QUAD]) -> [__m256i; 2] {
        let from = from.as_ptr().cast::<__m256i>();
        avx2!([_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))])
    }

    #[inline(always)]
    fn store_bytes(self, bytes: [__m256i; 2], to: &mut [u8; QUAD]) {
        let to = to.as_mut_ptr().cast::<__m256i>();
        avx2!({
            _mm256_storeu_si256(to, bytes[0]);
            _mm256_storeu_si256(to.add(1), bytes[1]);
        });
    }

    #[inline(always)]
    fn bits(self, bytes: [__m256i; 2], shift: i32, mask: u8) -> [__m256i; 2] {
        bytes.map(|bytes| {
            avx2!({
                let moved = if shift < 0 {
                    _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(-shift))
                } else {
                    _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(shift))
                };
                _mm256_and_si256(moved, _mm256_set1_epi8(mask as i8))
            })
        })
    }

    #[inline(always)]
    fn or(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        avx2!([_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])])
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: [__m256i; 2]) -> [__m256i; 2] {
        avx2!({
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            [_mm256_shuffle_epi8(table, bytes[0]), _mm256_shuffle_epi8(table, bytes[1])]
        })
    }

    #[inline(always)]
    fn bias(self, bytes: [__m256i; 2]) -> [__m256i; 2] {
        if VNNI { bytes.map(|bytes| avx2!(_mm256_xor_si256(bytes, _mm256_set1_epi8(-128)))) } else { bytes }
    }

    #[inline(always)]
    fn start(self, sum: i32) -> [__m256i; 2] {
        avx2!([_mm256_set1_epi32(sum); 2])
    }

    #[inline(always)]
    fn dot_unsigned(self, [a, b]: [[__m256i; 2]; 2], x: [Four; 2], sums: [__m256i; 2]) -> [__m256i; 2] {
        [dot_unsigned::<VNNI>([a[0], b[0]], x, sums[0]), dot_unsigned::<VNNI>([a[1], b[1]], x, sums[1])]
    }

    #[inline(always)]
    fn dot_twos(self, bytes: [__m256i; 2], x: &[Four; 4], sums: [__m256i; 2]) -> [__m256i; 2] {
        let twos = |nth: usize| self.bits(bytes, 2 * nth as i32, 3);
        if VNNI {
            let sums = self.dot_unsigned([twos(0), twos(1)], [x[0], x[1]], sums);
            return self.dot_unsigned([twos(2), twos(3)], [x[2], x[3]], sums);
        }
        // At most 8 * 3 * 127: no lane of 16 bits overflows, and pairs of them are added once for all.
        let products =
            |nth: usize| twos(nth).map(|weights| avx2!(_mm256_maddubs_epi16(weights, _mm256_set1_epi32(x[nth]))));
        let [a, b, c, d] = [products(0), products(1), products(2), products(3)];
        std::array::from_fn(|at| {
            avx2!({
                let pairs = _mm256_add_epi16(_mm256_add_epi16(a[at], b[at]), _mm256_add_epi16(c[at], d[at]));
                _mm256_add_epi32(sums[at], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            })
        })
    }

    #[inline(always)]
    fn dot_signed(self, [a, b]: [[__m256i; 2]; 2], x: [Four; 2], sums: [__m256i; 2]) -> [__m256i; 2] {
        if VNNI {
            return self.dot_unsigned([a, b], x, sums);
        }
        let sums = [dot_signed(a[0], x[0], sums[0]), dot_signed(a[1], x[0], sums[1])];
        [dot_signed(b[0], x[1], sums[0]), dot_signed(b[1], x[1], sums[1])]
    }

    #[inline(always)]
    fn dot_sevens(self, weights: [__m256i; 2], x: Four, sums: [__m256i; 2]) -> [__m256i; 2] {
        [dot_sevens::<VNNI>(weights[0], x, sums[0]), dot_sevens::<VNNI>(weights[1], x, sums[1])]
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> [__m256i; 2] {
        let (picks, shifts) = (windows.picks.as_ptr().cast::<__m256i>(), windows.shifts.as_ptr().cast::<__m256i>());
        avx2!({
            let column = _mm256_broadcastsi128_si256(_mm_loadu_si128(from.as_ptr().cast()));
            let half = |nth: usize| {
                let picked = _mm256_shuffle_epi8(column, _mm256_loadu_si256(picks.add(nth)));
                let moved = _mm256_srlv_epi32(picked, _mm256_loadu_si256(shifts.add(nth)));
                let window = _mm256_and_si256(moved, _mm256_set1_epi32(windows.window_mask as i32));
                let product = _mm256_mullo_epi32(window, _mm256_set1_epi32(MULTIPLIER as i32));
                _mm256_and_si256(product, _mm256_set1_epi32(windows.code_mask as i32))
            };
            [half(0), half(1)]
        })
    }

    #[inline(always)]
    fn rows(self, sums: [__m256i; 2]) -> [__m256; 2] {
        avx2!([_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])])
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> [__m256; 2] {
        let from = from.as_ptr();
        avx2!([_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))])
    }

    #[inline(always)]
    fn store_rows(self, rows: [__m256; 2], to: &mut [f32; ROWS]) {
        let to = to.as_mut_ptr();
        avx2!({
            _mm256_storeu_ps(to, rows[0]);
            _mm256_storeu_ps(to.add(8), rows[1]);
        });
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> [__m256; 2] {
        let from = from.as_ptr().cast::<__m128i>();
        avx2!([_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from.add(1)))])
    }

    #[inline(always)]
    fn mul_rows(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        avx2!([_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn scale_add(self, a: [__m256; 2], b: f32, c: [__m256; 2]) -> [__m256; 2] {
        avx2!({
            let b = _mm256_set1_ps(b);
            [_mm256_fmadd_ps(a[0], b, c[0]), _mm256_fmadd_ps(a[1], b, c[1])]
        })
    }

    #[inline(always)]
    fn mul_scale_add(self, a: [__m256; 2], b: [__m256; 2], scale: f32, c: [__m256; 2]) -> [__m256; 2] {
        avx2!({
            let scale = _mm256_set1_ps(scale);
            [
                _mm256_fmadd_ps(_mm256_mul_ps(a[0], scale), b[0], c[0]),
                _mm256_fmadd_ps(_mm256_mul_ps(a[1], scale), b[1], c[1]),
            ]
        })
    }
}
