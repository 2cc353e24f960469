//! Q4_K of GGML: a block of 256 nibbles; each 32 of them have a scale and a minimum of 6 bits, which two F16 multiply:
//! an element is `nibble * (scale * scale6) - minimum * minimum6`.
//!
//! Of each quarter of the block, byte `i` of 32 holds element `i` in its low nibble and element `i + 32` in its high
//! one. How the 12 bytes hold eight scales and eight minima is said at [`scale_and_minimum`].
//!
//! ```text
//! byte   0       2         4                      16         48         80         112        144
//!        | scale | minimum | scale6s and minimum6s | quarter | quarter  | quarter  | quarter  |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, chunk, scale};
use crate::tensor::Format;

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    minimum: [u8; 2],
    sixes: [u8; 12],
    quants: [u8; 128],
}

impl Packed for Block {
    const FORMAT: Format = Format::Q4_K;

    #[inline(always)]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let (scale6, minimum6) = scale_and_minimum(&self.sixes, part);
        let step = scale(self.scale) * f32::from(scale6);
        let less = scale(self.minimum) * f32::from(minimum6);
        let shift = part % 2 * 4;
        for (out, quant) in out.iter_mut().zip(chunk::<32>(&self.quants, part / 2)) {
            *out = step * f32::from(quant >> shift & 15) - less;
        }
    }
}

/// Of the `part`-th 32 elements of a block of Q4_K or Q5_K. The first four scales and minima are the lower 6 bits of
/// four bytes each; of the other four, the lower nibbles share the last four bytes (scale below minimum) and the upper two
/// bits are those that the first ones left free.
#[inline(always)]
pub(super) fn scale_and_minimum(sixes: &[u8; 12], part: usize) -> (u8, u8) {
    let lane = part % 4;
    let (first, second, third) = (sixes[lane], sixes[lane + 4], sixes[lane + 8]);
    if part < 4 { (first & 63, second & 63) } else { (third & 15 | first >> 6 << 4, third >> 4 | second >> 6 << 4) }
}
