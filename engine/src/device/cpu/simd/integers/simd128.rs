//! WebAssembly: sixteen rows are four registers. The bytes at even and at odd places become numbers of 16 bits where they
//! are, and of those two products and their sum are one instruction: so the four weights of a row end in the one lane that
//! is its sum. In a module that is compiled for relaxed SIMD, which is not loaded where that is missing, weights without a
//! sign take its product of bytes: one instruction for four. It is exact, whatever the machine below, as long as one
//! operand has seven bits; weights with a sign have eight.

use std::arch::wasm32::*;

use super::{Four, Integers, QUAD, ROWS};
use crate::device::cpu::simd::simd128::{Simd128, widen_f16};

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

/// The bytes at even and at odd places, with their sign.
#[inline(always)]
fn split(bytes: v128) -> (v128, v128) {
    (i16x8_shr(i16x8_shl(bytes, 8), 8), i16x8_shr(bytes, 8))
}

/// The same without a sign: these masks and shifts the compiler merges with those of the format.
#[cfg(not(target_feature = "relaxed-simd"))]
#[inline(always)]
fn split_unsigned(bytes: v128) -> (v128, v128) {
    (v128_and(bytes, u16x8_splat(255)), u16x8_shr(bytes, 8))
}

/// Adds the products of four activations with four rows' weights, which have seven bits.
#[cfg(target_feature = "relaxed-simd")]
#[inline(always)]
fn relaxed_dot(weights: v128, x: v128, sums: v128) -> v128 {
    i32x4_relaxed_dot_i8x16_i7x16_add(x, weights, sums)
}

/// Adds the products of four activations, as [`split`] leaves them, with four rows' weights.
#[inline(always)]
fn dot((weights_even, weights_odd): (v128, v128), (x_even, x_odd): (v128, v128), sums: v128) -> v128 {
    let sums = i32x4_add(sums, i32x4_dot_i16x8(weights_even, x_even));
    i32x4_add(sums, i32x4_dot_i16x8(weights_odd, x_odd))
}

impl Integers for Simd128 {
    type Bytes = Four128;
    type Sums = Four128;
    type Rows = Four128;
    const SUMS_TOKENS: usize = 2;
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
    fn start(self, sum: i32) -> Four128 {
        [i32x4_splat(sum); 4]
    }

    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn dot_unsigned(self, [w, v]: [Four128; 2], x: [Four; 2], [a, b, c, d]: Four128) -> Four128 {
        let (x, y) = (split(i32x4_splat(x[0])), split(i32x4_splat(x[1])));
        let (a, b) = (dot(split_unsigned(w[0]), x, a), dot(split_unsigned(w[1]), x, b));
        let (c, d) = (dot(split_unsigned(w[2]), x, c), dot(split_unsigned(w[3]), x, d));
        let (a, b) = (dot(split_unsigned(v[0]), y, a), dot(split_unsigned(v[1]), y, b));
        let (c, d) = (dot(split_unsigned(v[2]), y, c), dot(split_unsigned(v[3]), y, d));
        [a, b, c, d]
    }

    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn dot_unsigned(self, [w, v]: [Four128; 2], x: [Four; 2], [a, b, c, d]: Four128) -> Four128 {
        let (x, y) = (i32x4_splat(x[0]), i32x4_splat(x[1]));
        let (a, b) = (relaxed_dot(w[0], x, a), relaxed_dot(w[1], x, b));
        let (c, d) = (relaxed_dot(w[2], x, c), relaxed_dot(w[3], x, d));
        let (a, b) = (relaxed_dot(v[0], y, a), relaxed_dot(v[1], y, b));
        let (c, d) = (relaxed_dot(v[2], y, c), relaxed_dot(v[3], y, d));
        [a, b, c, d]
    }

    #[inline(always)]
    fn dot_signed(self, [w, v]: [Four128; 2], x: [Four; 2], [a, b, c, d]: Four128) -> Four128 {
        let (x, y) = (split(i32x4_splat(x[0])), split(i32x4_splat(x[1])));
        let (a, b) = (dot(split(w[0]), x, a), dot(split(w[1]), x, b));
        let (c, d) = (dot(split(w[2]), x, c), dot(split(w[3]), x, d));
        let (a, b) = (dot(split(v[0]), y, a), dot(split(v[1]), y, b));
        let (c, d) = (dot(split(v[2]), y, c), dot(split(v[3]), y, d));
        [a, b, c, d]
    }

    #[inline(always)]
    fn rows(self, [a, b, c, d]: Four128) -> Four128 {
        [f32x4_convert_i32x4(a), f32x4_convert_i32x4(b), f32x4_convert_i32x4(c), f32x4_convert_i32x4(d)]
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
