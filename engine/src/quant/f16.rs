//! F16: IEEE 754 binary16, little-endian, each element alone.

/// Exact: every binary16 is a binary32.
pub(super) fn decode(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.as_chunks::<2>().0.iter().zip(out) {
        *out = half::f16::from_le_bytes(*bytes).to_f32();
    }
}

/// Rounds to nearest, ties to even.
pub(super) fn encode(elements: &[f32]) -> Vec<u8> {
    elements.iter().flat_map(|element| half::f16::from_f32(*element).to_le_bytes()).collect()
}
