//! MXFP4 of the OCP Microscaling Formats, as GGML stores it: a block is a power of two and 32 floats of 4 bits (E2M1).
//!
//! The scale is E8M0, an exponent alone: `2^(byte - 127)`. As GGML does, halves of it are multiplied with twice the
//! element, so that all factors are whole; no byte stands for what is not a number. The nibbles lie as in Q4_0.
//!
//! ```text
//! byte   0          1                                            17
//!        | exponent | e[16] e[0] | e[17] e[1] | ... | e[31] e[15] |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, greatest, join_nibbles, nibbles};
use crate::tensor::Format;

/// Twice what the nibbles stand for; the upper eight are negative.
pub(crate) const VALUES: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    exponent: u8,
    quants: [u8; 16],
}

impl Packed for Block {
    const FORMAT: Format = Format::MXFP4;

    #[inline(always)]
    fn decode_part(&self, _part: usize, out: &mut [f32; PART]) {
        let scale = half_scale(self.exponent);
        for (out, quant) in out.iter_mut().zip(nibbles(&self.quants)) {
            *out = scale * VALUES[usize::from(quant)];
        }
    }
}

/// Half of the power of two that the exponent stands for; the two least ones are subnormal.
#[inline(always)]
pub(crate) fn half_scale(exponent: u8) -> f32 {
    let exponent = u32::from(exponent);
    f32::from_bits(if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 })
}

/// Takes the exponent of the greatest magnitude, less that of E2M1's greatest float; elements become the nearest value,
/// the first of equals.
pub(super) fn encode(elements: &[f32; PART]) -> Block {
    let magnitude = greatest(elements).abs();
    let exponent = if magnitude > 0.0 { (magnitude.log2().floor() - 2.0 + 127.0) as u8 } else { 0 };
    let scale = half_scale(exponent);
    let quants = elements.map(|element| {
        let errors = VALUES.map(|value| (scale * value - element).abs());
        let nearest = (1..16).fold(0, |nearest, index| if errors[index] < errors[nearest] { index } else { nearest });
        nearest as u8
    });
    Block { exponent, quants: join_nibbles(&quants) }
}
