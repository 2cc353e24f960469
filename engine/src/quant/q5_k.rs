//! Q5_K of GGML: Q4_K with a fifth bit for each element. Bit `n` of byte `i` of the fifth bits belongs to element
//! `32 n + i`.
//!
//! ```text
//! byte   0       2         4                       16           48         80  112  144  176
//!        | scale | minimum | scale6s and minimum6s | fifth bits | quarter  | .. | .. | .. |
//! ```

use bytemuck::{Pod, Zeroable};

use super::{
    blocks::{PART, Packed, chunk, scale},
    q4_k::scale_and_minimum,
};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    minimum: [u8; 2],
    sixes: [u8; 12],
    fifth_bits: [u8; 32],
    quants: [u8; 128],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q5_K;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let (scale6, minimum6) = scale_and_minimum(&self.sixes, part);
        let step = scale(self.scale) * f32::from(scale6);
        let less = scale(self.minimum) * f32::from(minimum6);
        let shift = part % 2 * 4;
        let quants: &[u8; 32] = chunk(&self.quants, part / 2);
        for (index, out) in out.iter_mut().enumerate() {
            let quant = quants[index] >> shift & 15 | (self.fifth_bits[index] >> part & 1) << 4;
            *out = step * f32::from(quant) - less;
        }
    }
}
