//! Q3_K of GGML: a block of 256 elements of 3 bits; each 16 of them have a scale of 6 bits less 32, which an F16
//! multiplies. An element is its lower two bits, less 4 where its third bit is 0, times the scale.
//!
//! The lower two bits lie as in Q2_K. Bit `n` of byte `i` of the third bits belongs to element `32 n + i`. The lower
//! four bits of scale `i` are in byte `i % 8`, low nibble first, the upper two in byte `8 + i % 4`, from bit `i / 4 *
//! 2` on.
//!
//! ```text
//! byte   0            32            64            96             104            108     110
//!        | third bits | first half  | second half | scales, low  | scales, high | scale |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, chunk, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    third_bits: [u8; 32],
    quants: [u8; 64],
    scales_low: [u8; 8],
    scales_high: [u8; 4],
    scale: [u8; 2],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q3_K;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        let quants: &[u8; 32] = chunk(&self.quants, part / 4);
        let shift = part % 4 * 2;
        for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let nth = part * 2 + half;
            let low = self.scales_low[nth % 8] >> (nth / 8 * 4) & 15;
            let high = self.scales_high[nth % 4] >> (nth / 4 * 2) & 3;
            let step = scale * f32::from((low | high << 4) as i8 - 32);
            let (quants, third_bits) = (chunk::<16>(quants, half), chunk::<16>(&self.third_bits, half));
            for (index, out) in out.iter_mut().enumerate() {
                let quant = (quants[index] >> shift & 3) as i8;
                let third = (third_bits[index] >> part & 1) as i8;
                *out = step * f32::from(quant - 4 + 4 * third);
            }
        }
    }
}
