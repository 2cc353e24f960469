//! WebAssembly: sixteen rows are four registers. Bytes are widened to 16 bits, where two products and their sum are one
//! instruction, so each row's sum is in two terms until the end. The relaxed instructions have one for four products; a
//! module with it is not loaded where it is missing, so only the module with threads has it. Of what is relaxed about it
//! nothing shows: one of its bytes never has its highest bit, and sums of 16 bits never overflow.

use std::arch::wasm32::*;

use super::{Four, Integers, QUAD, ROWS, Windows};
use crate::{
    device::cpu::simd::simd128::{Simd128, widen_f16},
    quant::trellis::MULTIPLIER,
};

type Four128 = [v128; 4];

#[inline(always)]
fn load<const AT: usize>(from: &[u8; QUAD]) -> v128 {
    const { assert!(AT + 16 <= QUAD) };
    // SAFETY: the sixteen bytes lie within the array, and the instruction needs no alignment.
    unsafe { v128_load(from.as_ptr().add(AT).cast()) }
}

#[inline(always)]
fn load_floats<const AT: usize>(from: &[f32; ROWS]) -> v128 {
    const { assert!(AT + 4 <= ROWS) };
    // SAFETY: the four numbers lie within the array.
    unsafe { v128_load(from.as_ptr().add(AT).cast()) }
}

/// Whether the module may use the relaxed product of bytes.
pub const RELAXED: bool = cfg!(target_feature = "relaxed-simd");

/// Four rows' products of four weights below 128 with four activations, added to their sums.
#[cfg(target_feature = "relaxed-simd")]
#[inline(always)]
fn dot_relaxed(weights: v128, x: v128, sums: v128) -> v128 {
    i32x4_relaxed_dot_i8x16_i7x16_add(x, weights, sums)
}

/// Never called.
#[cfg(not(target_feature = "relaxed-simd"))]
#[inline(always)]
fn dot_relaxed(_weights: v128, _x: v128, sums: v128) -> v128 {
    sums
}

/// The same of weights with a sign: 128 is taken off for each that has one.
#[inline(always)]
fn dot_relaxed_signed(weights: v128, x: v128, sums: v128) -> v128 {
    let sums = dot_relaxed(v128_and(weights, u8x16_splat(127)), x, sums);
    i32x4_sub(sums, i32x4_shl(dot_relaxed(u8x16_shr(weights, 7), x, i32x4_splat(0)), 7))
}

/// Four activations of 16 bits, twice.
#[inline(always)]
fn widen(x: Four) -> v128 {
    i16x8_extend_low_i8x16(i32x4_splat(x))
}

/// Four rows' products: the first two rows' in the first vector.
#[inline(always)]
fn dot(weights: v128, x: v128, lower: v128, upper: v128) -> (v128, v128) {
    let lower = i32x4_add(lower, i32x4_dot_i16x8(i16x8_extend_low_i8x16(weights), x));
    (lower, i32x4_add(upper, i32x4_dot_i16x8(i16x8_extend_high_i8x16(weights), x)))
}

/// Products of two times four weights of each row, with one of the two above.
#[inline(always)]
fn relaxed(
    [w, v]: [Four128; 2],
    x: [Four; 2],
    [a, b, c, d, rest @ ..]: [v128; 8],
    dot: impl Fn(v128, v128, v128) -> v128,
) -> [v128; 8] {
    let (x, y) = (i32x4_splat(x[0]), i32x4_splat(x[1]));
    let (a, b) = (dot(v[0], y, dot(w[0], x, a)), dot(v[1], y, dot(w[1], x, b)));
    let (c, d) = (dot(v[2], y, dot(w[2], x, c)), dot(v[3], y, dot(w[3], x, d)));
    [a, b, c, d, rest[0], rest[1], rest[2], rest[3]]
}

#[inline(always)]
fn finish(lower: v128, upper: v128) -> v128 {
    let (even, odd) = (i32x4_shuffle::<0, 2, 4, 6>(lower, upper), i32x4_shuffle::<1, 3, 5, 7>(lower, upper));
    f32x4_convert_i32x4(i32x4_add(even, odd))
}

impl Integers for Simd128 {
    type Bytes = Four128;
    /// Four rows after the other in two vectors each, or relaxed the first four alone.
    type Sums = [v128; 8];
    type Rows = Four128;
    const SUMS_TOKENS: usize = if RELAXED { 2 } else { 1 };
    const BIAS: i32 = 0;

    #[inline(always)]
    fn load_bytes(self, from: &[u8; QUAD]) -> Four128 {
        [load::<0>(from), load::<16>(from), load::<32>(from), load::<48>(from)]
    }

    #[inline(always)]
    fn store_bytes(self, bytes: Four128, to: &mut [u8; QUAD]) {
        for (bytes, to) in bytes.into_iter().zip(to.as_chunks_mut::<16>().0) {
            // SAFETY: `to` is an array of the sixteen bytes that are written.
            unsafe { v128_store(to.as_mut_ptr().cast(), bytes) };
        }
    }

    #[inline(always)]
    fn bits(self, [a, b, c, d]: Four128, shift: i32, mask: u8) -> Four128 {
        let mask = u8x16_splat(mask);
        let bits = |bytes| {
            let moved = if shift < 0 { u16x8_shl(bytes, shift.unsigned_abs()) } else { u16x8_shr(bytes, shift as u32) };
            v128_and(if shift == 0 { bytes } else { moved }, mask)
        };
        [bits(a), bits(b), bits(c), bits(d)]
    }

    #[inline(always)]
    fn or(self, a: Four128, b: Four128) -> Four128 {
        [v128_or(a[0], b[0]), v128_or(a[1], b[1]), v128_or(a[2], b[2]), v128_or(a[3], b[3])]
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], [a, b, c, d]: Four128) -> Four128 {
        // SAFETY: `table` is an array of the sixteen bytes that are read.
        let table = unsafe { v128_load(table.as_ptr().cast()) };
        [i8x16_swizzle(table, a), i8x16_swizzle(table, b), i8x16_swizzle(table, c), i8x16_swizzle(table, d)]
    }

    #[inline(always)]
    fn bias(self, bytes: Four128) -> Four128 {
        bytes
    }

    #[inline(always)]
    fn start(self, sum: i32) -> [v128; 8] {
        if RELAXED {
            return [i32x4_splat(sum); 8];
        }
        // Each row's sum is that of two lanes: the first takes it.
        [i32x4(sum, 0, sum, 0); 8]
    }

    #[inline(always)]
    fn dot_unsigned(self, weights: [Four128; 2], x: [Four; 2], sums: [v128; 8]) -> [v128; 8] {
        if RELAXED { relaxed(weights, x, sums, dot_relaxed) } else { self.dot_signed(weights, x, sums) }
    }

    #[inline(always)]
    fn dot_signed(self, [w, v]: [Four128; 2], x: [Four; 2], sums: [v128; 8]) -> [v128; 8] {
        if RELAXED {
            return relaxed([w, v], x, sums, dot_relaxed_signed);
        }
        let [a, b, c, d, e, f, g, h] = sums;
        let (x, y) = (widen(x[0]), widen(x[1]));
        let ((a, b), (c, d)) = (dot(w[0], x, a, b), dot(w[1], x, c, d));
        let ((e, f), (g, h)) = (dot(w[2], x, e, f), dot(w[3], x, g, h));
        let ((a, b), (c, d)) = (dot(v[0], y, a, b), dot(v[1], y, c, d));
        let ((e, f), (g, h)) = (dot(v[2], y, e, f), dot(v[3], y, g, h));
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    fn dot_sevens(self, w: Four128, x: Four, [a, b, c, d, e, f, g, h]: [v128; 8]) -> [v128; 8] {
        if RELAXED {
            let x = i32x4_splat(x);
            let (a, b) = (dot_relaxed(w[0], x, a), dot_relaxed(w[1], x, b));
            return [a, b, dot_relaxed(w[2], x, c), dot_relaxed(w[3], x, d), e, f, g, h];
        }
        let x = widen(x);
        let ((a, b), (c, d)) = (dot(w[0], x, a, b), dot(w[1], x, c, d));
        let ((e, f), (g, h)) = (dot(w[2], x, e, f), dot(w[3], x, g, h));
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> Four128 {
        // SAFETY: `from` is an array of the sixteen bytes that are read.
        let column = unsafe { v128_load(from.as_ptr().cast()) };
        let picks = self.load_bytes(&windows.picks);
        let bytes = |picks: v128, first: usize| {
            // There is no shift for each lane: moved up to a common place by a product, and down together.
            let [a, b, c, d] = [0, 1, 2, 3].map(|lane| 256_u32 >> windows.shifts[first + lane]);
            let moved = u32x4_shr(i32x4_mul(i8x16_swizzle(column, picks), u32x4(a, b, c, d)), 8);
            let product = i32x4_mul(v128_and(moved, u32x4_splat(windows.window_mask)), u32x4_splat(MULTIPLIER));
            v128_and(product, u32x4_splat(windows.code_mask))
        };
        [bytes(picks[0], 0), bytes(picks[1], 4), bytes(picks[2], 8), bytes(picks[3], 12)]
    }

    #[inline(always)]
    fn rows(self, [a, b, c, d, e, f, g, h]: [v128; 8]) -> Four128 {
        if RELAXED {
            let [a, b] = [f32x4_convert_i32x4(a), f32x4_convert_i32x4(b)];
            return [a, b, f32x4_convert_i32x4(c), f32x4_convert_i32x4(d)];
        }
        [finish(a, b), finish(c, d), finish(e, f), finish(g, h)]
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> Four128 {
        [load_floats::<0>(from), load_floats::<4>(from), load_floats::<8>(from), load_floats::<12>(from)]
    }

    #[inline(always)]
    fn store_rows(self, rows: Four128, to: &mut [f32; ROWS]) {
        for (rows, to) in rows.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: `to` is an array of the sixteen bytes that are written.
            unsafe { v128_store(to.as_mut_ptr().cast(), rows) };
        }
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> Four128 {
        // SAFETY: two times sixteen bytes are the array.
        let (lower, upper) = unsafe { (v128_load(from.as_ptr().cast()), v128_load(from.as_ptr().add(16).cast())) };
        let ([a, b], [c, d]) = (widen_f16(lower), widen_f16(upper));
        [a, b, c, d]
    }

    #[inline(always)]
    fn mul_rows(self, a: Four128, b: Four128) -> Four128 {
        [f32x4_mul(a[0], b[0]), f32x4_mul(a[1], b[1]), f32x4_mul(a[2], b[2]), f32x4_mul(a[3], b[3])]
    }

    #[inline(always)]
    fn scale_add(self, a: Four128, b: f32, c: Four128) -> Four128 {
        let b = f32x4_splat(b);
        let add = |a, c| f32x4_add(f32x4_mul(a, b), c);
        [add(a[0], c[0]), add(a[1], c[1]), add(a[2], c[2]), add(a[3], c[3])]
    }

    #[inline(always)]
    fn mul_scale_add(self, a: Four128, b: Four128, scale: f32, c: Four128) -> Four128 {
        let scale = f32x4_splat(scale);
        let add = |a, b, c| f32x4_add(f32x4_mul(f32x4_mul(a, scale), b), c);
        [add(a[0], b[0], c[0]), add(a[1], b[1], c[1]), add(a[2], b[2], c[2]), add(a[3], b[3], c[3])]
    }
}
