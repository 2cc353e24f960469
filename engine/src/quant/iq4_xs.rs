//! IQ4_XS of GGML: a block of 256 nibbles that name the values of IQ4_NL; each 32 of them, whose nibbles lie as in
//! Q4_0, have a scale of 6 bits less 32, which an F16 multiplies.
//!
//! The upper two bits of scale `i` begin at bit `2 i` of a little-endian word, the lower four at bit `4 i` of another.
//!
//! ```text
//! byte   0       2              4             8                      136
//!        | scale | scales, high | scales, low | 16 bytes | ... 8 times |
//! ```

use bytemuck::{Pod, Zeroable};

use super::{
    blocks::{PART, Packed, chunk, nibbles, scale},
    iq4_nl::VALUES,
};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    scales_high: [u8; 2],
    scales_low: [u8; 4],
    quants: [u8; 128],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ4_XS;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let high = u16::from_le_bytes(self.scales_high) >> (2 * part) & 3;
        let low = u32::from_le_bytes(self.scales_low) >> (4 * part) & 15;
        let step = scale(self.scale) * f32::from((low as u8 | (high as u8) << 4) as i8 - 32);
        for (out, quant) in out.iter_mut().zip(nibbles(chunk(&self.quants, part))) {
            *out = step * VALUES[usize::from(quant)];
        }
    }
}
