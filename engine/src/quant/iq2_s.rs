//! IQ2_S of GGML: a block of 256 elements, eight at a time from a grid of 1024, with signs; each 16 have a scale of 4
//! bits, which an F16 multiplies: an element is `scale * (0.5 + scale4) / 4` times its magnitude in the grid.
//!
//! Each eight have a byte of choice and two bits above it, four of which share a byte, and a byte of signs.
//!
//! ```text
//! byte   0       2                34             66                74                             82
//!        | scale | choices, low 8 | signs, a bit | choices, high 2 | scale4[1] scale4[0] | ... 8  |
//! ```

use bytemuck::{Pod, Zeroable};

use super::{
    blocks::{PART, Packed, chunk, scale},
    grids,
    iq2_xxs::eight,
};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    choices: [u8; 32],
    signs: [u8; 32],
    choices_high: [u8; 8],
    scales: [u8; 8],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ2_S;

    #[inline]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        let (choices, signs) = (chunk::<4>(&self.choices, part), chunk::<4>(&self.signs, part));
        for (nth, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let high = usize::from(self.choices_high[part] >> (2 * nth) & 3);
            let step = scale * (0.5 + f32::from(self.scales[part] >> (nth / 2 * 4) & 15)) * 0.25;
            eight(grids::IQ2_S[usize::from(choices[nth]) | high << 8], signs[nth], step, out);
        }
    }
}
