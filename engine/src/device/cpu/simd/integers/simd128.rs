//! WebAssembly: sixteen rows are four registers, each a [`Quarter`].

use std::arch::wasm32::v128;

use super::{
    Four, Integers, QUAD, ROWS, Windows,
    quarter::{Quarter, RELAXED},
};
use crate::device::cpu::simd::simd128::Simd128;

type Four128 = [v128; 4];

/// The same of each quarter.
#[inline(always)]
fn each<T>(of: impl Fn(Quarter, usize) -> T) -> [T; 4] {
    let of = |nth| of(Quarter::unrolled(nth), nth);
    [of(0), of(1), of(2), of(3)]
}

impl Integers for Simd128 {
    type Bytes = Four128;
    type Sums = [[v128; 2]; 4];
    type Rows = Four128;
    type Share = Quarter;
    const SUMS_TOKENS: usize = if RELAXED { 2 } else { 1 };
    const BIAS: i32 = 0;
    const SHARES: usize = 4;
    const STREAMS: usize = 8;

    #[inline(always)]
    fn share(self, nth: usize) -> Quarter {
        Quarter::rolled(nth)
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; QUAD]) -> Four128 {
        each(|quarter, _| quarter.load_bytes(from))
    }

    #[inline(always)]
    fn store_bytes(self, bytes: Four128, to: &mut [u8; QUAD]) {
        for (nth, bytes) in bytes.into_iter().enumerate() {
            Quarter::unrolled(nth).store_bytes(bytes, to);
        }
    }

    #[inline(always)]
    fn bits(self, bytes: Four128, shift: i32, mask: u8) -> Four128 {
        each(|quarter, nth| quarter.bits(bytes[nth], shift, mask))
    }

    #[inline(always)]
    fn or(self, a: Four128, b: Four128) -> Four128 {
        each(|quarter, nth| quarter.or(a[nth], b[nth]))
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: Four128) -> Four128 {
        each(|quarter, nth| quarter.look_up(table, bytes[nth]))
    }

    #[inline(always)]
    fn bias(self, bytes: Four128) -> Four128 {
        bytes
    }

    #[inline(always)]
    fn start(self, sum: i32) -> [[v128; 2]; 4] {
        each(|quarter, _| quarter.start(sum))
    }

    #[inline(always)]
    fn dot_unsigned(self, [w, v]: [Four128; 2], x: [Four; 2], sums: [[v128; 2]; 4]) -> [[v128; 2]; 4] {
        each(|quarter, nth| quarter.dot_unsigned([w[nth], v[nth]], x, sums[nth]))
    }

    #[inline(always)]
    fn dot_signed(self, [w, v]: [Four128; 2], x: [Four; 2], sums: [[v128; 2]; 4]) -> [[v128; 2]; 4] {
        each(|quarter, nth| quarter.dot_signed([w[nth], v[nth]], x, sums[nth]))
    }

    #[inline(always)]
    fn dot_sevens(self, w: Four128, x: Four, sums: [[v128; 2]; 4]) -> [[v128; 2]; 4] {
        each(|quarter, nth| quarter.dot_sevens(w[nth], x, sums[nth]))
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> Four128 {
        each(|quarter, _| quarter.window_bytes(from, windows))
    }

    #[inline(always)]
    fn rows(self, sums: [[v128; 2]; 4]) -> Four128 {
        each(|quarter, nth| quarter.rows(sums[nth]))
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> Four128 {
        each(|quarter, _| quarter.load_rows(from))
    }

    #[inline(always)]
    fn store_rows(self, rows: Four128, to: &mut [f32; ROWS]) {
        for (nth, rows) in rows.into_iter().enumerate() {
            Quarter::unrolled(nth).store_rows(rows, to);
        }
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> Four128 {
        each(|quarter, _| quarter.rows_f16(from))
    }

    #[inline(always)]
    fn mul_rows(self, a: Four128, b: Four128) -> Four128 {
        each(|quarter, nth| quarter.mul_rows(a[nth], b[nth]))
    }

    #[inline(always)]
    fn scale_add(self, a: Four128, b: f32, c: Four128) -> Four128 {
        each(|quarter, nth| quarter.scale_add(a[nth], b, c[nth]))
    }

    #[inline(always)]
    fn mul_scale_add(self, a: Four128, b: Four128, scale: f32, c: Four128) -> Four128 {
        each(|quarter, nth| quarter.mul_scale_add(a[nth], b[nth], scale, c[nth]))
    }
}
