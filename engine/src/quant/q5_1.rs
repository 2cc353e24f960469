//! Q5_1 of GGML: a block is an F16 scale, an F16 minimum, the fifth bits of 32 elements and their nibbles; an element
//! is its 5 bits times the scale, plus the minimum. The bits lie as in Q5_0.
//!
//! ```text
//! byte   0       2         4             8                                            24
//!        | scale | minimum | fifth bits  | e[16] e[0] | e[17] e[1] | ... | e[31] e[15] |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, bits, f16_bytes, inverse, join_fifth_bits, join_nibbles, nibbles, range, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    minimum: [u8; 2],
    fifth_bits: [u8; 4],
    quants: [u8; 16],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q5_1;

    #[inline(always)]
    fn decode_part(&self, _part: usize, out: &mut [f32; PART]) {
        let (scale, minimum) = (scale(self.scale), scale(self.minimum));
        let lower = nibbles(&self.quants);
        let fifth = bits(self.fifth_bits);
        for (index, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(lower[index] | fifth[index] << 4) + minimum;
        }
    }
}

/// Spreads 32 steps from the least to the greatest element; others are rounded half up.
pub(super) fn encode(elements: &[f32; PART]) -> Block {
    let (least, greatest) = range(elements);
    let step = (greatest - least) / 31.0;
    let inverse = inverse(step);
    let quants = elements.map(|element| ((element - least) * inverse + 0.5).min(31.0) as u8);
    Block {
        scale: f16_bytes(step),
        minimum: f16_bytes(least),
        fifth_bits: join_fifth_bits(&quants),
        quants: join_nibbles(&quants),
    }
}
