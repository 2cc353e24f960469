//! Q4_1 of GGML: a block is an F16 scale, an F16 minimum and 32 nibbles; an element is its nibble times the scale, plus
//! the minimum.
//!
//! Byte `i` of the 16 holds element `i` in its low nibble and element `i + 16` in its high one.
//!
//! ```text
//! byte   0       2         4                                            20
//!        | scale | minimum | e[16] e[0] | e[17] e[1] | ... | e[31] e[15] |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, f16_bytes, inverse, join_nibbles, nibbles, range, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    minimum: [u8; 2],
    quants: [u8; 16],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q4_1;

    #[inline(always)]
    fn decode_part(&self, _part: usize, out: &mut [f32; PART]) {
        let (scale, minimum) = (scale(self.scale), scale(self.minimum));
        for (out, quant) in out.iter_mut().zip(nibbles(&self.quants)) {
            *out = scale * f32::from(quant) + minimum;
        }
    }
}

/// Spreads 16 steps from the least to the greatest element; others are rounded half up.
pub(super) fn encode(elements: &[f32; PART]) -> Block {
    let (least, greatest) = range(elements);
    let step = (greatest - least) / 15.0;
    let inverse = inverse(step);
    let quants = elements.map(|element| ((element - least) * inverse + 0.5).min(15.0) as u8);
    Block { scale: f16_bytes(step), minimum: f16_bytes(least), quants: join_nibbles(&quants) }
}
