//! What the formats of blocks have in common.

use bytemuck::Pod;

use crate::tensor::Format;

/// How many numbers are decoded at a time: a whole block, or an eighth of one.
pub(crate) const PART: usize = 32;

/// A block as it lies in a file.
pub(crate) trait Packed: Pod {
    /// The format.
    const FORMAT: Format;

    /// Decodes the numbers from `32 * part` on, each rounded as GGML's reference rounds it.
    fn decode_part(&self, part: usize, out: &mut [f32; PART]);
}

/// The whole blocks of some bytes.
#[inline(always)]
pub(crate) fn blocks<B: Packed>(bytes: &[u8]) -> &[B] {
    const { assert!(align_of::<B>() == 1 && size_of::<B>() == B::FORMAT.block_bytes()) };
    bytemuck::cast_slice(&bytes[..bytes.len() / size_of::<B>() * size_of::<B>()])
}

/// Decodes whole blocks.
pub(super) fn decode<B: Packed>(bytes: &[u8], out: &mut [f32]) {
    let parts = B::FORMAT.block_elements() / PART;
    for (block, out) in blocks::<B>(bytes).iter().zip(out.as_chunks_mut().0.chunks_mut(parts)) {
        for (part, out) in out.iter_mut().enumerate() {
            block.decode_part(part, out);
        }
    }
}

/// Encodes whole blocks of `N` elements.
pub(super) fn encode<B: Packed, const N: usize>(elements: &[f32], encode_block: impl Fn(&[f32; N]) -> B) -> Vec<u8> {
    elements.as_chunks().0.iter().map(encode_block).flat_map(|block| bytemuck::bytes_of(&block).to_vec()).collect()
}

/// Binary16 to binary32. Moving the bits up by 13 leaves an exponent that is too small by 112: a product puts it
/// right, for subnormal numbers too. Infinities and what is not a number need their exponent set by hand.
#[inline(always)]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let sign = u32::from(bits & 0x8000) << 16;
    let value = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let special = if magnitude >= 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(value.to_bits() | special | sign)
}

/// A scale as blocks store it.
#[inline(always)]
pub(super) fn scale(bytes: [u8; 2]) -> f32 {
    f16_to_f32(u16::from_le_bytes(bytes))
}

/// A sixteenth of a scale's bytes, or a few of them: `N` bytes from `at * N` on.
#[inline(always)]
pub(super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    &bytes.as_chunks().0[at]
}

/// The nibbles of 16 bytes: first all lower ones, then all upper ones.
#[inline(always)]
pub(super) fn nibbles(bytes: &[u8; 16]) -> [u8; PART] {
    std::array::from_fn(|index| if index < 16 { bytes[index] & 15 } else { bytes[index - 16] >> 4 })
}

/// 32 bits as bytes of 0 or 1, the lowest first.
#[inline(always)]
pub(super) fn bits(bytes: [u8; 4]) -> [u8; PART] {
    let word = u32::from_le_bytes(bytes);
    std::array::from_fn(|index| (word >> index & 1) as u8)
}

/// `1 / step`, or nothing where there is no step.
pub(super) fn inverse(step: f32) -> f32 {
    if step == 0.0 { 0.0 } else { 1.0 / step }
}

/// The element of the greatest magnitude, the first of equals.
pub(super) fn greatest(elements: &[f32]) -> f32 {
    elements.iter().fold(0.0f32, |greatest, &element| if element.abs() > greatest.abs() { element } else { greatest })
}

/// The least and the greatest element.
pub(super) fn range(elements: &[f32]) -> (f32, f32) {
    let first = elements.first().copied().unwrap_or_default();
    elements.iter().fold((first, first), |(least, greatest), &element| (least.min(element), greatest.max(element)))
}

/// The lower nibbles of 32 numbers, as [`nibbles`] reads them.
pub(super) fn join_nibbles(quants: &[u8; PART]) -> [u8; 16] {
    std::array::from_fn(|index| quants[index] & 15 | quants[index + 16] << 4)
}

/// The fifth bits of 32 numbers, as [`bits`] reads them.
pub(super) fn join_fifth_bits(quants: &[u8; PART]) -> [u8; 4] {
    let word = quants.iter().enumerate().fold(0u32, |word, (index, quant)| word | u32::from(quant >> 4 & 1) << index);
    word.to_le_bytes()
}

/// An F16 as blocks store it.
pub(super) fn f16_bytes(value: f32) -> [u8; 2] {
    half::f16::from_f32(value).to_le_bytes()
}
