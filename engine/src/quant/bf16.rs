//! BF16: the upper half of a binary32, little-endian, each element alone.

/// Exact: the lower half is zero.
pub(super) fn decode(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.as_chunks::<2>().0.iter().zip(out) {
        *out = half::bf16::from_le_bytes(*bytes).to_f32();
    }
}

/// Rounds to nearest, ties to even.
pub(super) fn encode(elements: &[f32]) -> Vec<u8> {
    elements.iter().flat_map(|element| half::bf16::from_f32(*element).to_le_bytes()).collect()
}
