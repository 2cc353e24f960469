//! WebAssembly, four of the sixteen rows: one register. Bytes are widened to 16 bits, where two products and their sum are
//! one instruction, so each row's sum is in two terms until the end. The relaxed instructions have one for four products;
//! a module with it is not loaded where it is missing, so only the module with threads has it. Of what is relaxed about it
//! nothing shows: one of its bytes never has its highest bit, and sums of 16 bits never overflow.

use std::{arch::wasm32::*, hint::black_box};

use super::{Four, Integers, QUAD, ROWS, Windows};
use crate::{device::cpu::simd::simd128::f16_to_f32, quant::trellis::MULTIPLIER};

/// Four rows.
#[derive(Clone, Copy)]
pub struct Quarter {
    /// Below 4.
    nth: usize,
    /// See [`Integers::fours`].
    fours: usize,
}

impl Quarter {
    /// With loops over columns written out.
    #[inline(always)]
    pub const fn unrolled(nth: usize) -> Self {
        Self { nth, fours: 4 }
    }

    /// With loops that stay loops: of several groups written out, the compiler for the web computes all weights before
    /// the first product, and has no registers for them.
    #[inline(always)]
    pub fn rolled(nth: usize) -> Self {
        Self { nth, fours: black_box(4) }
    }

    /// The quarter's own of as many things for each row.
    #[inline(always)]
    fn of<T, const COUNT: usize>(self, all: &[T]) -> &[T; COUNT] {
        &all.as_chunks().0[self.nth % 4]
    }

    #[inline(always)]
    fn of_mut<T, const COUNT: usize>(self, all: &mut [T]) -> &mut [T; COUNT] {
        &mut all.as_chunks_mut().0[self.nth % 4]
    }
}

/// Whether the module may use the relaxed product of bytes.
pub const RELAXED: bool = cfg!(target_feature = "relaxed-simd");

/// Each row's product of four weights below 128 with four activations, added to its sum.
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

/// The same in 16 bits: the first two rows' in the first vector.
#[inline(always)]
fn dot_wide(weights: v128, x: Four, [lower, upper]: [v128; 2]) -> [v128; 2] {
    let x = i16x8_extend_low_i8x16(i32x4_splat(x));
    [
        i32x4_add(lower, i32x4_dot_i16x8(i16x8_extend_low_i8x16(weights), x)),
        i32x4_add(upper, i32x4_dot_i16x8(i16x8_extend_high_i8x16(weights), x)),
    ]
}

impl Integers for Quarter {
    type Bytes = v128;
    /// Two rows in each vector, or relaxed four rows in the first alone.
    type Sums = [v128; 2];
    type Rows = v128;
    type Share = Self;
    const SUMS_TOKENS: usize = 1;
    const BIAS: i32 = 0;

    #[inline(always)]
    fn share(self, _nth: usize) -> Self {
        self
    }

    #[inline(always)]
    fn fours(self) -> usize {
        self.fours
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; QUAD]) -> v128 {
        let from: &[u8; 16] = self.of(from);
        // SAFETY: the sixteen bytes are the array, and the instruction needs no alignment.
        unsafe { v128_load(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_bytes(self, bytes: v128, to: &mut [u8; QUAD]) {
        let to: &mut [u8; 16] = self.of_mut(to);
        // SAFETY: the sixteen bytes are the array.
        unsafe { v128_store(to.as_mut_ptr().cast(), bytes) };
    }

    #[inline(always)]
    fn bits(self, bytes: v128, shift: i32, mask: u8) -> v128 {
        let moved = if shift < 0 { u16x8_shl(bytes, shift.unsigned_abs()) } else { u16x8_shr(bytes, shift as u32) };
        v128_and(if shift == 0 { bytes } else { moved }, u8x16_splat(mask))
    }

    #[inline(always)]
    fn or(self, a: v128, b: v128) -> v128 {
        v128_or(a, b)
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: v128) -> v128 {
        // SAFETY: the sixteen bytes are the array.
        i8x16_swizzle(unsafe { v128_load(table.as_ptr().cast()) }, bytes)
    }

    #[inline(always)]
    fn bias(self, bytes: v128) -> v128 {
        bytes
    }

    #[inline(always)]
    fn start(self, sum: i32) -> [v128; 2] {
        // Without relaxed instructions a row's sum is that of two lanes: the first takes it.
        if RELAXED { [i32x4_splat(sum); 2] } else { [i32x4(sum, 0, sum, 0); 2] }
    }

    #[inline(always)]
    fn dot_unsigned(self, [w, v]: [v128; 2], x: [Four; 2], sums: [v128; 2]) -> [v128; 2] {
        if RELAXED {
            let sum = dot_relaxed(w, i32x4_splat(x[0]), sums[0]);
            return [dot_relaxed(v, i32x4_splat(x[1]), sum), sums[1]];
        }
        self.dot_signed([w, v], x, sums)
    }

    #[inline(always)]
    fn dot_signed(self, [w, v]: [v128; 2], x: [Four; 2], sums: [v128; 2]) -> [v128; 2] {
        if RELAXED {
            let sum = dot_relaxed_signed(w, i32x4_splat(x[0]), sums[0]);
            return [dot_relaxed_signed(v, i32x4_splat(x[1]), sum), sums[1]];
        }
        dot_wide(v, x[1], dot_wide(w, x[0], sums))
    }

    #[inline(always)]
    fn dot_sevens(self, w: v128, x: Four, sums: [v128; 2]) -> [v128; 2] {
        if RELAXED { [dot_relaxed(w, i32x4_splat(x), sums[0]), sums[1]] } else { dot_wide(w, x, sums) }
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> v128 {
        let picks: &[u8; 16] = self.of(&windows.picks);
        // SAFETY: both are arrays of the sixteen bytes that are read.
        let (column, picks) = unsafe { (v128_load(from.as_ptr().cast()), v128_load(picks.as_ptr().cast())) };
        // There is no shift for each lane: moved up to a common place by a product, and down together.
        let shifts: &[u32; 4] = self.of(&windows.shifts);
        let [a, b, c, d] = shifts.map(|shift| 256_u32 >> shift);
        let moved = u32x4_shr(i32x4_mul(i8x16_swizzle(column, picks), u32x4(a, b, c, d)), 8);
        let product = i32x4_mul(v128_and(moved, u32x4_splat(windows.window_mask)), u32x4_splat(MULTIPLIER));
        v128_and(product, u32x4_splat(windows.code_mask))
    }

    #[inline(always)]
    fn rows(self, [a, b]: [v128; 2]) -> v128 {
        if RELAXED {
            return f32x4_convert_i32x4(a);
        }
        let (even, odd) = (i32x4_shuffle::<0, 2, 4, 6>(a, b), i32x4_shuffle::<1, 3, 5, 7>(a, b));
        f32x4_convert_i32x4(i32x4_add(even, odd))
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> v128 {
        let from: &[f32; 4] = self.of(from);
        // SAFETY: the four numbers are the array.
        unsafe { v128_load(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_rows(self, rows: v128, to: &mut [f32; ROWS]) {
        let to: &mut [f32; 4] = self.of_mut(to);
        // SAFETY: the four numbers are the array.
        unsafe { v128_store(to.as_mut_ptr().cast(), rows) };
    }

    #[inline(always)]
    fn splat_rows(self, value: f32) -> v128 {
        f32x4_splat(value)
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> v128 {
        let from: &[u8; 8] = self.of(from);
        // SAFETY: the eight bytes are the array.
        f16_to_f32(i32x4_extend_low_i16x8(unsafe { v128_load64_zero(from.as_ptr().cast()) }))
    }

    #[inline(always)]
    fn rows_i8(self, from: [i8; ROWS]) -> v128 {
        let from: &[i8; 4] = self.of(&from);
        // SAFETY: the four bytes are the array.
        let bytes = unsafe { v128_load32_zero(from.as_ptr().cast()) };
        f32x4_convert_i32x4(i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(bytes)))
    }

    #[inline(always)]
    fn mul_rows(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    fn scale_add(self, a: v128, b: f32, c: v128) -> v128 {
        f32x4_add(f32x4_mul(a, f32x4_splat(b)), c)
    }

    #[inline(always)]
    fn mul_scale_add(self, a: v128, b: v128, scale: f32, c: v128) -> v128 {
        f32x4_add(f32x4_mul(f32x4_mul(a, f32x4_splat(scale)), b), c)
    }
}
