//! TQ1_0 of GGML: a block of 256 elements that are -1, 0 or 1 (a base-3 digit less 1), times an F16 scale; five digits
//! share a byte.
//!
//! A byte `b` stands for the fraction `b / 256`, whose base-3 digits are its elements: digit `n` is the whole part of
//! `3 f`, where `f` is what is left of the fraction after multiplying by 3 `n` times. Byte `i` of the first 32 holds
//! the elements `i + 32 n`, byte `i` of the next 16 the elements `160 + i + 16 n`, and byte `i` of the last four, with
//! four digits each, the elements `240 + i + 4 n`.
//!
//! ```text
//! byte   0         32        48       52      54
//!        | 5 of 32 | 5 of 16 | 4 of 4 | scale |
//! ```

use bytemuck::{Pod, Zeroable};

use super::blocks::{PART, Packed, f16_bytes, greatest, inverse, scale};
use crate::tensor::Format;

/// What brings digit `n` to the front of a fraction.
const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

/// A block of a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(crate) struct Block {
    digits: [[u8; 4]; 13],
    scale: [u8; 2],
}

impl Packed for Block {
    const FORMAT: Format = Format::TQ1_0;

    #[inline]
    fn decode_part(&self, part: usize, out: &mut [f32; PART]) {
        let scale = scale(self.scale);
        for (index, out) in out.iter_mut().enumerate() {
            let (byte, nth) = place(part * PART + index);
            let fraction = self.digits.as_flattened()[byte].wrapping_mul(POWERS[nth]);
            *out = scale * f32::from(((u16::from(fraction) * 3) >> 8) as i8 - 1);
        }
    }
}

/// In which byte an element is, and which digit of it.
#[inline(always)]
fn place(element: usize) -> (usize, usize) {
    match element {
        0..160 => (element % 32, element / 32),
        160..240 => (32 + element % 16, (element - 160) / 16),
        _ => (48 + element % 4, (element - 240) / 4),
    }
}

/// The scale is the greatest magnitude; ties are rounded away from zero.
pub(super) fn encode(elements: &[f32; 256]) -> Block {
    let scale = greatest(elements).abs();
    let inverse = inverse(scale);
    let mut numbers = [0u16; 52];
    for (index, element) in elements.iter().enumerate() {
        let (byte, nth) = place(index);
        numbers[byte] += ((element * inverse).round() + 1.0) as u16 * u16::from(POWERS[4 - nth]);
    }
    // Rounded up, so that each digit comes out again although 243 does not divide 256.
    let digit = |number: u16| (u32::from(number) * 256).div_ceil(243) as u8;
    let digits = std::array::from_fn(|four| std::array::from_fn(|byte| digit(numbers[four * 4 + byte])));
    Block { digits, scale: f16_bytes(scale) }
}
