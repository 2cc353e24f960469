//! How numbers are packed: one file a format, each with its block's layout, its decoder and, where it is simple, its
//! encoder. `docs/formats/README.md` says where each comes from.
//!
//! | format | block | bytes | bits a weight | an element is |
//! |---|---|---|---|---|
//! | F32 | 1 | 4 | 32 | itself |
//! | F16 | 1 | 2 | 16 | itself |
//! | BF16 | 1 | 2 | 16 | the upper half of an F32 |
//! | Q8_0 | 32 | 34 | 8.5 | an F16 scale times a signed byte |
//! | Q4_0 | 32 | 18 | 4.5 | an F16 scale times a nibble less 8 |
//! | Q4_1 | 32 | 20 | 5 | an F16 scale times a nibble, plus an F16 minimum |
//! | Q5_0 | 32 | 22 | 5.5 | an F16 scale times 5 bits less 16 |
//! | Q5_1 | 32 | 24 | 6 | an F16 scale times 5 bits, plus an F16 minimum |
//! | Q2_K | 256 | 84 | 2.625 | 2 bits times a scale of 4 bits, less a minimum of 4 bits |
//! | Q3_K | 256 | 110 | 3.4375 | 3 bits less 4, times a scale of 6 bits |
//! | Q4_K | 256 | 144 | 4.5 | a nibble times a scale of 6 bits, less a minimum of 6 bits |
//! | Q5_K | 256 | 176 | 5.5 | 5 bits times a scale of 6 bits, less a minimum of 6 bits |
//! | Q6_K | 256 | 210 | 6.5625 | 6 bits less 32, times a scale of 8 bits |
//! | IQ4_NL | 32 | 18 | 4.5 | an F16 scale times one of 16 values |
//! | IQ4_XS | 256 | 136 | 4.25 | one of 16 values times a scale of 6 bits |
//! | IQ3_XXS | 256 | 98 | 3.0625 | one of a four from a grid of 256, signed |
//! | IQ3_S | 256 | 110 | 3.4375 | one of a four from a grid of 512, signed |
//! | IQ2_XXS | 256 | 66 | 2.0625 | one of an eight from a grid of 256, signed |
//! | IQ2_XS | 256 | 74 | 2.3125 | one of an eight from a grid of 512, signed |
//! | IQ2_S | 256 | 82 | 2.5625 | one of an eight from a grid of 1024, signed |
//! | TQ1_0 | 256 | 54 | 1.6875 | an F16 scale times -1, 0 or 1; five to a byte |
//! | TQ2_0 | 256 | 66 | 2.0625 | an F16 scale times -1, 0 or 1; four to a byte |
//! | MXFP4 | 32 | 17 | 4.25 | a power of two times a float of 4 bits |
//! | TRELLIS2 to 6 | 16 x 16 | 32 K | K | a row's F16 scale times a number computed from 16 bits: [`trellis`] |
//! | LEVELS2 | 16 x 16 | 64 | 2 | a row's F16 scale times -3, -1, 1 or 3: [`levels2`] |
//!
//! In a block of 256 the scales of few bits are multiplied by one or two F16. [`decode_row`] reads rows as a file
//! stores them. Shaders read arrays of u32 and want the scales apart, so rows are repacked on their way to a GPU
//! ([`repack`]); no bit of a number changes, and none is added.

mod bf16;
mod blocks;
mod f16;
mod grids;
pub(crate) mod iq2_s;
pub(crate) mod iq2_xs;
pub(crate) mod iq2_xxs;
pub(crate) mod iq3_s;
pub(crate) mod iq3_xxs;
pub(crate) mod iq4_nl;
pub(crate) mod iq4_xs;
pub mod levels2;
pub(crate) mod mxfp4;
pub(crate) mod q2_k;
pub(crate) mod q3_k;
mod q4_0;
pub(crate) mod q4_1;
pub(crate) mod q4_k;
pub(crate) mod q5_0;
pub(crate) mod q5_1;
pub(crate) mod q5_k;
pub(crate) mod q6_k;
mod q8_0;
mod repack;
pub mod rotation;
pub mod strips;
pub(crate) mod tq1_0;
pub(crate) mod tq2_0;
pub mod trellis;

pub(crate) use blocks::{PART, Packed, blocks, f16_to_f32};
pub use repack::{GpuLayout, GpuRows, repack};

use crate::{Error, Result, tensor::Format};

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
        Format::Q4_1 => blocks::decode::<q4_1::Block>(bytes, out),
        Format::Q5_0 => blocks::decode::<q5_0::Block>(bytes, out),
        Format::Q5_1 => blocks::decode::<q5_1::Block>(bytes, out),
        Format::Q2_K => blocks::decode::<q2_k::Block>(bytes, out),
        Format::Q3_K => blocks::decode::<q3_k::Block>(bytes, out),
        Format::Q4_K => blocks::decode::<q4_k::Block>(bytes, out),
        Format::Q5_K => blocks::decode::<q5_k::Block>(bytes, out),
        Format::Q6_K => blocks::decode::<q6_k::Block>(bytes, out),
        Format::IQ4_NL => blocks::decode::<iq4_nl::Block>(bytes, out),
        Format::IQ4_XS => blocks::decode::<iq4_xs::Block>(bytes, out),
        Format::IQ3_XXS => blocks::decode::<iq3_xxs::Block>(bytes, out),
        Format::IQ3_S => blocks::decode::<iq3_s::Block>(bytes, out),
        Format::IQ2_XXS => blocks::decode::<iq2_xxs::Block>(bytes, out),
        Format::IQ2_XS => blocks::decode::<iq2_xs::Block>(bytes, out),
        Format::IQ2_S => blocks::decode::<iq2_s::Block>(bytes, out),
        Format::TQ1_0 => blocks::decode::<tq1_0::Block>(bytes, out),
        Format::TQ2_0 => blocks::decode::<tq2_0::Block>(bytes, out),
        Format::MXFP4 => blocks::decode::<mxfp4::Block>(bytes, out),
        Format::Trellis2
        | Format::Trellis3
        | Format::Trellis4
        | Format::Trellis5
        | Format::Trellis6
        | Format::Levels2 => {
            panic!("the rows of {format} stand in strips, which `strips::decode_rows` reads")
        }
    }
}

/// Encodes one or more whole rows, rounding as GGML's reference does. Formats whose encoders search for the best scales
/// are refused: this engine reads them, but does not write them.
///
/// # Panics
/// If `elements` is not a whole number of blocks.
pub fn encode_row(format: Format, elements: &[f32]) -> Result<Vec<u8>> {
    assert!(
        elements.len().is_multiple_of(format.block_elements()),
        "{} elements are no whole blocks of {format}",
        elements.len()
    );
    Ok(match format {
        Format::F32 => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
        Format::F16 => f16::encode(elements),
        Format::BF16 => bf16::encode(elements),
        Format::Q8_0 => q8_0::encode(elements),
        Format::Q4_0 => q4_0::encode(elements),
        Format::Q4_1 => blocks::encode(elements, q4_1::encode),
        Format::Q5_0 => blocks::encode(elements, q5_0::encode),
        Format::Q5_1 => blocks::encode(elements, q5_1::encode),
        Format::TQ1_0 => blocks::encode(elements, tq1_0::encode),
        Format::TQ2_0 => blocks::encode(elements, tq2_0::encode),
        Format::MXFP4 => blocks::encode(elements, mxfp4::encode),
        _ => return Err(Error::invalid("format", format_args!("{format} is read by this engine, but not written"))),
    })
}
