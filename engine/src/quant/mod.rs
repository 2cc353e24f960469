//! How numbers are packed: one file a format, each with its block's layout, its decoder and its encoder.
//!
//! | format | block | bytes | an element is |
//! |---|---|---|---|
//! | F32 | 1 | 4 | itself |
//! | F16 | 1 | 2 | itself |
//! | BF16 | 1 | 2 | the upper half of an F32 |
//! | Q8_0 | 32 | 34 | an F16 scale times a signed byte |
//! | Q4_0 | 32 | 18 | an F16 scale times a nibble less 8 |
//!
//! [`decode_row`] reads rows as a file stores them. Shaders read arrays of u32 and want the scales apart, so rows are
//! repacked on their way to a GPU ([`repack`]); no bit of a number changes.

mod bf16;
mod f16;
mod q4_0;
mod q8_0;
mod repack;

pub use repack::{GpuRows, repack};

use crate::tensor::Format;

/// Decodes one or more whole rows. Exact: every output is what the format's definition says, to the last bit.
///
/// # Panics
/// If `bytes` and `out` do not hold the same number of whole blocks; [`crate::file::Catalog`] has checked that for
/// every tensor.
pub fn decode_row(format: Format, bytes: &[u8], out: &mut [f32]) {
    let blocks = out.len() / format.block_elements();
    assert!(
        out.len().is_multiple_of(format.block_elements()) && bytes.len() == blocks * format.block_bytes(),
        "{} bytes of {format} are not {} elements",
        bytes.len(),
        out.len()
    );
    match format {
        Format::F32 => {
            for (bytes, out) in bytes.as_chunks::<4>().0.iter().zip(out) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
        Format::F16 => f16::decode(bytes, out),
        Format::BF16 => bf16::decode(bytes, out),
        Format::Q8_0 => q8_0::decode(bytes, out),
        Format::Q4_0 => q4_0::decode(bytes, out),
    }
}

/// Encodes one or more whole rows, rounding as GGML's reference does.
///
/// # Panics
/// If `elements` is not a whole number of blocks.
pub fn encode_row(format: Format, elements: &[f32]) -> Vec<u8> {
    assert!(
        elements.len().is_multiple_of(format.block_elements()),
        "{} elements are no whole blocks of {format}",
        elements.len()
    );
    match format {
        Format::F32 => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
        Format::F16 => f16::encode(elements),
        Format::BF16 => bf16::encode(elements),
        Format::Q8_0 => q8_0::encode(elements),
        Format::Q4_0 => q4_0::encode(elements),
    }
}
