//! IQ3_XXS of GGML: a block of 256 elements, four at a time from a grid of 256, with signs; each 32 have a scale of 4
//! bits, which an F16 multiplies: an element is `scale * (0.5 + scale4) / 2` times its magnitude in the grid.
//!
//! A byte chooses four from the grid. For each 32 elements a little-endian word holds four times 7 bits of signs and
//! above them the scale; of eight signs the last one makes the number of minuses even.
//!
//! ```text
//! byte   0       2            66                                  98
//!        | scale | 64 choices | 4 signs of 7, scale4 | ... 8 times |
//! ```

use bytemuck::{Pod, Zeroable};

use super::{
    blocks::{PART, Packed, chunk, scale},
    grids,
    iq2_xxs::even_signs,
};
use crate::tensor::Format;

/// What 3 bits of the grid stand for.
const MAGNITUDES: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    choices: [u8; 64],
    words: [u8; 32],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ3_XXS;

    #[inline]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let word = u32::from_le_bytes(*chunk(&self.words, part));
        let step = scale(self.scale) * (0.5 + (word >> 28) as f32) * 0.5;
        let choices: &[u8; 8] = chunk(&self.choices, part);
        for (nth, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let signs = even_signs(word >> (nth / 2 * 7)) >> (nth % 2 * 4);
            let grid = grids::IQ3_XXS[usize::from(choices[nth])];
            for (index, out) in out.iter_mut().enumerate() {
                let magnitude = step * MAGNITUDES[usize::from(grid >> (4 * index) & 7)];
                *out = if signs >> index & 1 == 1 { -magnitude } else { magnitude };
            }
        }
    }
}
