//! TQ2_0 of GGML: a block of 256 elements that are -1, 0 or 1 (two bits less 1), times an F16 scale. The bits lie as in
//! Q2_K; 3 stands for 2, though no encoder writes it.
//!
//! ```text
//! byte   0             32            64      66
//!        | first half  | second half | scale |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, chunk, f16_bytes, greatest, inverse, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    quants: [u8; 64],
    scale: [u8; 2],
}

impl Packed for Block {
    const FORMAT: Format = Format::TQ2_0;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        let shift = part % 4 * 2;
        for (out, quant) in out.iter_mut().zip(chunk::<32>(&self.quants, part / 4)) {
            *out = scale * f32::from((quant >> shift & 3) as i8 - 1);
        }
    }
}

/// The scale is the greatest magnitude; ties are rounded away from zero.
pub(super) fn encode(elements: &[f32; 256]) -> Block {
    let scale = greatest(elements).abs();
    let inverse = inverse(scale);
    let quant = |at: usize| ((elements[at] * inverse).round() + 1.0) as u8;
    let quants = std::array::from_fn(|byte| {
        let first = byte / 32 * 128 + byte % 32;
        (0..4).fold(0, |bits, nth| bits | quant(first + 32 * nth) << (2 * nth))
    });
    Block { quants, scale: f16_bytes(scale) }
}
