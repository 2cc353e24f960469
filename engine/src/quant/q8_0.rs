//! Q8_0 of GGML: a block is an F16 scale and 32 signed bytes; an element is its byte times the scale.
//!
//! ```text
//! byte   0      2                               34
//!        | scale | q[0] q[1] ...           q[31] |
//! ```

use crate::tensor::Format;

/// Bytes of the scale, an F16 in front of the block.
const SCALE_BYTES: usize = 2;
/// Bytes of a block.
const BLOCK_BYTES: usize = Format::Q8_0.block_bytes();
/// Elements of a block.
const BLOCK_ELEMENTS: usize = Format::Q8_0.block_elements();

/// One product of the scale and the byte, rounded once, as F32 multiplication does.
pub(super) fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks::<BLOCK_BYTES>().0;
    for (block, out) in blocks.iter().zip(out.as_chunks_mut::<BLOCK_ELEMENTS>().0) {
        let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
        for (quant, out) in block[SCALE_BYTES..].iter().zip(out) {
            *out = scale * f32::from(*quant as i8);
        }
    }
}

/// Scales the greatest magnitude to 127; ties are rounded away from zero. The quants come from the scale before it is
/// rounded to F16.
pub(super) fn encode(elements: &[f32]) -> Vec<u8> {
    let blocks = elements.as_chunks::<BLOCK_ELEMENTS>().0;
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK_BYTES);
    for block in blocks {
        let greatest = block.iter().fold(0.0f32, |greatest, element| greatest.max(element.abs()));
        let scale = greatest / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        bytes.extend(half::f16::from_f32(scale).to_le_bytes());
        bytes.extend(block.iter().map(|element| (element * inverse).round() as i8 as u8));
    }
    bytes
}
