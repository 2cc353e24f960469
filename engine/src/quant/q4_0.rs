//! Q4_0 of GGML: a block is an F16 scale and 32 nibbles; an element is its nibble less 8, times the scale.
//!
//! Byte `i` of the 16 holds element `i` in its low nibble and element `i + 16` in its high one.
//!
//! ```text
//! byte   0      2                                            18
//!        | scale | e[16] e[0] | e[17] e[1] | ... | e[31] e[15] |
//! ```

use crate::tensor::Format;

/// Bytes of the scale, an F16 in front of the block.
const SCALE_BYTES: usize = 2;
/// Bytes of a block.
const BLOCK_BYTES: usize = Format::Q4_0.block_bytes();
/// Elements of a block.
const BLOCK_ELEMENTS: usize = Format::Q4_0.block_elements();
/// Bytes of a block's nibbles: the low ones are the first half of the elements.
const QUANT_BYTES: usize = BLOCK_ELEMENTS / 2;
/// The nibble that stands for zero.
const ZERO: i8 = 8;

/// One product of the scale and the nibble less 8, rounded once, as F32 multiplication does.
pub(super) fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks::<BLOCK_BYTES>().0;
    for (block, out) in blocks.iter().zip(out.as_chunks_mut::<BLOCK_ELEMENTS>().0) {
        let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
        let (low, high) = out.split_at_mut(QUANT_BYTES);
        for ((quants, low), high) in block[SCALE_BYTES..].iter().zip(low).zip(high) {
            *low = scale * f32::from((quants & 0x0f) as i8 - ZERO);
            *high = scale * f32::from((quants >> 4) as i8 - ZERO);
        }
    }
}

/// Scales the element of the greatest magnitude, the first of equals, to nibble 0 (-8); others are rounded half up. The
/// product and the sum are each rounded to F32, as in GGML's reference where the compiler does not fuse them.
pub(super) fn encode(elements: &[f32]) -> Vec<u8> {
    let blocks = elements.as_chunks::<BLOCK_ELEMENTS>().0;
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK_BYTES);
    for block in blocks {
        let mut greatest = 0.0f32;
        for &element in block {
            if element.abs() > greatest.abs() {
                greatest = element;
            }
        }
        let scale = greatest / -8.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let nibble = |element: f32| (element * inverse + 8.5).clamp(0.0, 15.0) as u8;
        bytes.extend(half::f16::from_f32(scale).to_le_bytes());
        let (low, high) = block.split_at(QUANT_BYTES);
        bytes.extend(low.iter().zip(high).map(|(low, high)| nibble(*low) | nibble(*high) << 4));
    }
    bytes
}

/// Nibbles in the order of their elements, eight a word.
pub(super) fn reorder(quants: &[u8], out: &mut Vec<u8>) {
    // Two elements that follow each other share a byte; first the low nibbles' half, then the high ones'.
    out.extend(quants.as_chunks::<2>().0.iter().map(|[even, odd]| even & 0x0f | odd << 4));
    out.extend(quants.as_chunks::<2>().0.iter().map(|[even, odd]| even >> 4 | odd & 0xf0));
}
