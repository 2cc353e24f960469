//! IQ2_XXS of GGML: a block of 256 elements, eight at a time from a grid of 256, with signs; each 32 have a scale of 4
//! bits, which an F16 multiplies: an element is `scale * (0.5 + scale4) / 4` times its magnitude in the grid.
//!
//! For each 32 elements there are two little-endian words: four bytes that choose eights from the grid, then four times
//! 7 bits of signs and above them the scale. Of eight signs the last one makes the number of minuses even.
//!
//! ```text
//! byte   0       2                                   10          66
//!        | scale | 4 choices | 4 signs of 7, scale4  | ... 8 times |
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
    words: [u8; 64],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ2_XXS;

    #[inline]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let [choices, signs]: &[[u8; 4]; 2] = bytemuck::cast_ref(chunk::<8>(&self.words, part));
        let signs = u32::from_le_bytes(*signs);
        let step = scale(self.scale) * (0.5 + (signs >> 28) as f32) * 0.25;
        for (nth, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            eight(grids::IQ2_XXS[usize::from(choices[nth])], even_signs(signs >> (7 * nth)), step, out);
        }
    }
}

/// Eight elements: their magnitudes, 2 bits each, and their signs.
#[inline(always)]
pub(super) fn eight(magnitudes: u16, signs: u8, step: f32, out: &mut [f32; 8]) {
    for (index, out) in out.iter_mut().enumerate() {
        let magnitude = step * [8.0, 25.0, 43.0, 0.0][usize::from(magnitudes >> (2 * index) & 3)];
        *out = if signs >> index & 1 == 1 { -magnitude } else { magnitude };
    }
}

/// The lowest 7 bits, and an eighth that makes their sum even.
#[inline(always)]
pub(super) fn even_signs(word: u32) -> u8 {
    let seven = (word & 127) as u8;
    seven | (seven.count_ones() as u8 & 1) << 7
}
