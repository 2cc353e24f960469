//! IQ3_S of GGML: a block of 256 elements, four at a time from a grid of 512, with signs; each 32 have a scale of 4
//! bits, which an F16 multiplies: an element is `scale * (1 + 2 scale4)` times its magnitude in the grid.
//!
//! Each four have a byte of choice and a bit above it, eight of which share a byte; each eight have a byte of signs.
//!
//! ```text
//! byte   0       2                66                  74             106                           110
//!        | scale | choices, low 8 | choices, high bit | signs, a bit | scale4[1] scale4[0] | ... 4 |
//! ```

use bytemuck::{Pod, Zeroable};

use super::{
    blocks::{PART, Packed, chunk, scale},
    grids,
};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    choices: [u8; 64],
    choices_high: [u8; 8],
    signs: [u8; 32],
    scales: [u8; 4],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ3_S;

    #[inline]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let step = scale(self.scale) * f32::from(1 + 2 * (self.scales[part / 2] >> (part % 2 * 4) & 15));
        let (choices, signs) = (chunk::<8>(&self.choices, part), chunk::<4>(&self.signs, part));
        for (nth, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let high = usize::from(self.choices_high[part] >> nth & 1);
            let grid = grids::IQ3_S[usize::from(choices[nth]) | high << 8];
            let signs = signs[nth / 2] >> (nth % 2 * 4);
            for (index, out) in out.iter_mut().enumerate() {
                let magnitude = step * f32::from(1 + 2 * (grid >> (4 * index) & 7));
                *out = if signs >> index & 1 == 1 { -magnitude } else { magnitude };
            }
        }
    }
}
