//! Q2_K of GGML: a block of 256 elements of 2 bits; each 16 of them have a scale and a minimum of 4 bits, which two F16
//! multiply: an element is `quant * (scale * low nibble) - minimum * high nibble`.
//!
//! Of each half of the block, byte `i` of 32 holds the elements `i`, `i + 32`, `i + 64` and `i + 96`, the first in the
//! lowest bits.
//!
//! ```text
//! byte   0                     16            48            80      82        84
//!        | nibbles[0] ... [15] | first half  | second half | scale | minimum |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, chunk, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    nibbles: [u8; 16],
    quants: [u8; 64],
    scale: [u8; 2],
    minimum: [u8; 2],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q2_K;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let (scale, minimum) = (scale(self.scale), scale(self.minimum));
        let quants: &[u8; 32] = chunk(&self.quants, part / 4);
        let shift = part % 4 * 2;
        let nibbles: &[u8; 2] = chunk(&self.nibbles, part);
        for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let step = scale * f32::from(nibbles[half] & 15);
            let less = minimum * f32::from(nibbles[half] >> 4);
            for (out, quant) in out.iter_mut().zip(chunk::<16>(quants, half)) {
                *out = step * f32::from(quant >> shift & 3) - less;
            }
        }
    }
}
