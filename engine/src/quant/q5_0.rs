//! Q5_0 of GGML: a block is an F16 scale, the fifth bits of 32 elements and their nibbles; an element is its 5 bits
//! less 16, times the scale.
//!
//! Bit `i` of the little-endian word is the fifth of element `i`; the nibbles lie as in Q4_0.
//!
//! ```text
//! byte   0       2             6                                            22
//!        | scale | fifth bits  | e[16] e[0] | e[17] e[1] | ... | e[31] e[15] |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, bits, f16_bytes, greatest, inverse, join_fifth_bits, join_nibbles, nibbles, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    fifth_bits: [u8; 4],
    quants: [u8; 16],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q5_0;

    #[inline(always)]
    fn decode_part(&self, _part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        let lower = nibbles(&self.quants);
        let fifth = bits(self.fifth_bits);
        for (index, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from((lower[index] | fifth[index] << 4) as i8 - 16);
        }
    }
}

/// Scales the element of the greatest magnitude to 0 (-16); others are rounded half up.
pub(super) fn encode(elements: &[f32; PART]) -> Block {
    let scale = greatest(elements) / -16.0;
    let inverse = inverse(scale);
    let quants = elements.map(|element| (element * inverse + 16.5).clamp(0.0, 31.0) as u8);
    Block { scale: f16_bytes(scale), fifth_bits: join_fifth_bits(&quants), quants: join_nibbles(&quants) }
}
