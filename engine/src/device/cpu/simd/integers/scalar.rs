//! Plain Rust.

use super::{Four, Integers, QUAD, ROWS, Windows};
use crate::{
    device::cpu::simd::scalar::Scalar,
    quant::{f16_to_f32, trellis::MULTIPLIER},
};

#[inline(always)]
fn dot(weight: impl Fn(usize) -> i32, x: Four, sums: &mut [i32; ROWS]) {
    let x = x.to_le_bytes();
    for (row, sum) in sums.iter_mut().enumerate() {
        for (nth, x) in x.iter().enumerate() {
            *sum += weight(4 * row + nth) * i32::from(*x as i8);
        }
    }
}

impl Integers for Scalar {
    type Bytes = [u8; QUAD];
    type Sums = [i32; ROWS];
    type Rows = [f32; ROWS];
    const SUMS_TOKENS: usize = 1;
    const BIAS: i32 = 0;
    type Share = Self;

    #[inline(always)]
    fn share(self, _nth: usize) -> Self {
        self
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; QUAD]) -> [u8; QUAD] {
        *from
    }

    #[inline(always)]
    fn store_bytes(self, bytes: [u8; QUAD], to: &mut [u8; QUAD]) {
        *to = bytes;
    }

    #[inline(always)]
    fn bits(self, bytes: [u8; QUAD], shift: i32, mask: u8) -> [u8; QUAD] {
        bytes.map(|byte| if shift < 0 { byte << -shift & mask } else { byte >> shift & mask })
    }

    #[inline(always)]
    fn or(self, a: [u8; QUAD], b: [u8; QUAD]) -> [u8; QUAD] {
        std::array::from_fn(|index| a[index] | b[index])
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: [u8; QUAD]) -> [u8; QUAD] {
        bytes.map(|byte| table[usize::from(byte & 15)] as u8)
    }

    #[inline(always)]
    fn bias(self, bytes: [u8; QUAD]) -> [u8; QUAD] {
        bytes
    }

    #[inline(always)]
    fn start(self, sum: i32) -> [i32; ROWS] {
        [sum; ROWS]
    }

    #[inline(always)]
    fn dot_unsigned(self, weights: [[u8; QUAD]; 2], x: [Four; 2], mut sums: [i32; ROWS]) -> [i32; ROWS] {
        dot(|at| i32::from(weights[0][at]), x[0], &mut sums);
        dot(|at| i32::from(weights[1][at]), x[1], &mut sums);
        sums
    }

    #[inline(always)]
    fn dot_signed(self, weights: [[u8; QUAD]; 2], x: [Four; 2], mut sums: [i32; ROWS]) -> [i32; ROWS] {
        dot(|at| i32::from(weights[0][at] as i8), x[0], &mut sums);
        dot(|at| i32::from(weights[1][at] as i8), x[1], &mut sums);
        sums
    }

    #[inline(always)]
    fn dot_sevens(self, weights: [u8; QUAD], x: Four, mut sums: [i32; ROWS]) -> [i32; ROWS] {
        dot(|at| i32::from(weights[at]), x, &mut sums);
        sums
    }

    #[inline(always)]
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> [u8; QUAD] {
        let mut bytes = [0; QUAD];
        for ((to, picks), shift) in
            bytes.as_chunks_mut().0.iter_mut().zip(windows.picks.as_chunks().0).zip(windows.shifts)
        {
            let picked: [u8; 4] = picks.map(|pick: u8| if pick < 16 { from[usize::from(pick)] } else { 0 });
            let window = u32::from_le_bytes(picked) >> shift & windows.window_mask;
            *to = (window.wrapping_mul(MULTIPLIER) & windows.code_mask).to_le_bytes();
        }
        bytes
    }

    #[inline(always)]
    fn rows(self, sums: [i32; ROWS]) -> [f32; ROWS] {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn load_rows(self, from: &[f32; ROWS]) -> [f32; ROWS] {
        *from
    }

    #[inline(always)]
    fn store_rows(self, rows: [f32; ROWS], to: &mut [f32; ROWS]) {
        *to = rows;
    }

    #[inline(always)]
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> [f32; ROWS] {
        std::array::from_fn(|row| f16_to_f32(u16::from_le_bytes([from[2 * row], from[2 * row + 1]])))
    }

    #[inline(always)]
    fn mul_rows(self, a: [f32; ROWS], b: [f32; ROWS]) -> [f32; ROWS] {
        std::array::from_fn(|row| a[row] * b[row])
    }

    #[inline(always)]
    fn scale_add(self, a: [f32; ROWS], b: f32, c: [f32; ROWS]) -> [f32; ROWS] {
        std::array::from_fn(|row| a[row] * b + c[row])
    }

    #[inline(always)]
    fn mul_scale_add(self, a: [f32; ROWS], b: [f32; ROWS], scale: f32, c: [f32; ROWS]) -> [f32; ROWS] {
        std::array::from_fn(|row| a[row] * scale * b[row] + c[row])
    }
}
