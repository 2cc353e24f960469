//! Q6_K of GGML: a block of 256 elements of 6 bits less 32; each 16 of them have a scale of 8 bits with a sign, which
//! an F16 multiplies.
//!
//! Of each half of the block, byte `i` of 64 holds the low nibbles of the elements `i` and `i + 64`, and byte `i` of 32
//! the upper two bits of the elements `i`, `i + 32`, `i + 64` and `i + 96`, the first in the lowest bits.
//!
//! ```text
//! byte   0                  64                  128         160         192                   208     210
//!        | nibbles, 1. half | nibbles, 2. half  | twos, 1.  | twos, 2.  | scales[0] ... [15]  | scale |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, chunk, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    nibbles: [u8; 128],
    twos: [u8; 64],
    scales: [u8; 16],
    scale: [u8; 2],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q6_K;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        let (half, quarter) = (part / 4, part % 4);
        let nibbles: &[u8; 32] = chunk(&self.nibbles, half * 2 + quarter % 2);
        let twos: &[u8; 32] = chunk(&self.twos, half);
        let (shift, two_shift) = (quarter / 2 * 4, quarter * 2);
        for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let step = scale * f32::from(self.scales[part * 2 + half] as i8);
            let (nibbles, twos) = (chunk::<16>(nibbles, half), chunk::<16>(twos, half));
            for (index, out) in out.iter_mut().enumerate() {
                let quant = nibbles[index] >> shift & 15 | (twos[index] >> two_shift & 3) << 4;
                *out = step * f32::from(quant as i8 - 32);
            }
        }
    }
}
