//! IQ4_NL of GGML: a block is an F16 scale and 32 nibbles; an element is the value that its nibble names, times the
//! scale. The nibbles lie as in Q4_0.
//!
//! ```text
//! byte   0       2                                            18
//!        | scale | e[16] e[0] | e[17] e[1] | ... | e[31] e[15] |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, nibbles, scale};
use crate::tensor::Format;

/// What the nibbles stand for: denser near zero, as weights are. Figures from `ggml-common.h` of llama.cpp (MIT).
pub(crate) const VALUES: [f32; 16] =
    [-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0];

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    scale: [u8; 2],
    quants: [u8; 16],
}

impl Packed for Block {
    const FORMAT: Format = Format::IQ4_NL;

    #[inline(always)]
    fn decode_part(&self, _part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        for (out, quant) in out.iter_mut().zip(nibbles(&self.quants)) {
            *out = scale * VALUES[usize::from(quant)];
        }
    }
}
