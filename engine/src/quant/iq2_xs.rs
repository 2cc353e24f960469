//! IQ2_XS of GGML: a block of 256 elements, eight at a time from a grid of 512, with signs; each 16 have a scale of 4
//! bits, which an F16 multiplies: an element is `scale * (0.5 + scale4) / 4` times its magnitude in the grid.
//!
//! Each eight have a little-endian word of 16 bits: 9 choose from the grid and 7 are signs, the eighth of which makes
//! the number of minuses even.
//!
//! ```text
//! byte   0       2                           66                             74
//!        | scale | word[0] | ... | word[31]  | scale4[1] scale4[0] | ... 8  |
//! ```

use bytemuck::{Pod, Zeroable};

use super::{
    blocks::{PART, Packed, chunk, scale},
    grids,
    iq2_xxs::{eight, even_signs},
};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    words: [u8; 64],
    scales: [u8; 8],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ2_XS;

    #[inline]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        let words: &[[u8; 2]; 4] = bytemuck::cast_ref(chunk::<8>(&self.words, part));
        for (nth, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let word = u16::from_le_bytes(words[nth]);
            let step = scale * (0.5 + f32::from(self.scales[part] >> (nth / 2 * 4) & 15)) * 0.25;
            eight(grids::IQ2_XS[usize::from(word & 511)], even_signs(u32::from(word >> 9)), step, out);
        }
    }
}
