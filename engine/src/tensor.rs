//! The names that everything else shares: how numbers are stored, and which tensor is meant.

use serde::{Deserialize, Serialize};

/// How the numbers of a tensor are stored. [`crate::quant`] shows each block's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[allow(non_camel_case_types, reason = "these are the names that files and people use")]
pub enum Format {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// GGML: signed bytes times an F16 scale.
    Q8_0,
    /// GGML: nibbles less 8, times an F16 scale.
    Q4_0,
    /// GGML: nibbles times an F16 scale, plus an F16 minimum.
    Q4_1,
    /// GGML: 5 bits less 16, times an F16 scale.
    Q5_0,
    /// GGML: 5 bits times an F16 scale, plus an F16 minimum.
    Q5_1,
    /// GGML: 2 bits; each 16 have a scale and a minimum of 4 bits.
    Q2_K,
    /// GGML: 3 bits less 4; each 16 have a scale of 6 bits.
    Q3_K,
    /// GGML: nibbles; each 32 have a scale and a minimum of 6 bits.
    Q4_K,
    /// GGML: 5 bits; each 32 have a scale and a minimum of 6 bits.
    Q5_K,
    /// GGML: 6 bits less 32; each 16 have a scale of 8 bits.
    Q6_K,
    /// GGML: nibbles that name one of 16 unevenly spread values, times an F16 scale.
    IQ4_NL,
    /// GGML: the values of IQ4_NL; each 32 have a scale of 6 bits.
    IQ4_XS,
    /// GGML: fours from a grid of 256, and signs; each 32 have a scale of 4 bits.
    IQ3_XXS,
    /// GGML: fours from a grid of 512, and signs; each 32 have a scale of 4 bits.
    IQ3_S,
    /// GGML: eights from a grid of 256, and signs; each 32 have a scale of 4 bits.
    IQ2_XXS,
    /// GGML: eights from a grid of 512, and signs; each 16 have a scale of 4 bits.
    IQ2_XS,
    /// GGML: eights from a grid of 1024, and signs; each 16 have a scale of 4 bits.
    IQ2_S,
    /// GGML: -1, 0 or 1, five to a byte, times an F16 scale.
    TQ1_0,
    /// GGML: -1, 0 or 1, four to a byte, times an F16 scale.
    TQ2_0,
    /// OCP microscaling: 4-bit floats (E2M1) times a power of two.
    MXFP4,
    /// [`crate::quant::trellis`]: strips of 16 rows, 2 bits a weight, an F16 scale a row.
    #[serde(rename = "TRELLIS2")]
    Trellis2,
    /// The same with 3 bits.
    #[serde(rename = "TRELLIS3")]
    Trellis3,
    /// The same with 4 bits.
    #[serde(rename = "TRELLIS4")]
    Trellis4,
    /// The same with 5 bits.
    #[serde(rename = "TRELLIS5")]
    Trellis5,
    /// The same with 6 bits.
    #[serde(rename = "TRELLIS6")]
    Trellis6,
    /// [`crate::quant::levels2`]: such strips, whose 2 bits a weight name one of four levels.
    #[serde(rename = "LEVELS2")]
    Levels2,
}

impl Format {
    /// All formats whose rows stand alone, for tests and tables; [`Self::STRIPS`] are the others.
    pub const ALL: [Self; 23] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::IQ4_NL,
        Self::IQ4_XS,
        Self::IQ3_XXS,
        Self::IQ3_S,
        Self::IQ2_XXS,
        Self::IQ2_XS,
        Self::IQ2_S,
        Self::TQ1_0,
        Self::TQ2_0,
        Self::MXFP4,
    ];

    /// Those of the trellis, by their bits a weight.
    pub const TRELLIS: [Self; 5] = [Self::Trellis2, Self::Trellis3, Self::Trellis4, Self::Trellis5, Self::Trellis6];

    /// All that store strips of 16 rows.
    pub const STRIPS: [Self; 6] =
        [Self::Trellis2, Self::Trellis3, Self::Trellis4, Self::Trellis5, Self::Trellis6, Self::Levels2];

    /// The format that people call so, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::STRIPS).find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Bits a weight of a format that stores strips; None for formats whose rows stand alone.
    pub const fn strip_bits(self) -> Option<u32> {
        if let Self::Levels2 = self { Some(2) } else { self.trellis_bits() }
    }

    /// Bits a weight of a trellis; None for other formats.
    pub const fn trellis_bits(self) -> Option<u32> {
        match self {
            Self::Trellis2 => Some(2),
            Self::Trellis3 => Some(3),
            Self::Trellis4 => Some(4),
            Self::Trellis5 => Some(5),
            Self::Trellis6 => Some(6),
            _ => None,
        }
    }

    /// How many rows are stored as one: a range of rows must begin at a multiple of it, and end there or with the
    /// matrix.
    pub const fn strip_rows(self) -> u64 {
        if self.strip_bits().is_some() { 16 } else { 1 }
    }

    /// Bytes that a row has besides its blocks, where it stands in a strip: its scale.
    pub const fn row_scale_bytes(self) -> u64 {
        if self.strip_bits().is_some() { 2 } else { 0 }
    }

    /// Bytes that so many rows of `elements` take in a file, those that fill up the last strip with them; `None` as for
    /// [`Self::row_bytes`].
    pub fn rows_bytes(self, rows: u64, elements: u64) -> Option<u64> {
        self.row_bytes(elements)?.checked_mul(rows.checked_next_multiple_of(self.strip_rows())?)
    }

    /// How many elements one block holds; 1 where every element stands alone. Strips have their tile's columns here.
    pub const fn block_elements(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Trellis2 | Self::Trellis3 | Self::Trellis4 | Self::Trellis5 | Self::Trellis6 | Self::Levels2 => 16,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::IQ4_NL | Self::MXFP4 => 32,
            _ => 256,
        }
    }

    /// How many bytes one block takes in a file; of strips, a row's share of a tile.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::BF16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q2_K => 84,
            Self::Q3_K => 110,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
            Self::IQ4_NL => 18,
            Self::IQ4_XS => 136,
            Self::IQ3_XXS => 98,
            Self::IQ3_S => 110,
            Self::IQ2_XXS => 66,
            Self::IQ2_XS => 74,
            Self::IQ2_S => 82,
            Self::TQ1_0 => 54,
            Self::TQ2_0 => 66,
            Self::MXFP4 => 17,
            Self::Trellis2 => 4,
            Self::Trellis3 => 6,
            Self::Trellis4 => 8,
            Self::Trellis5 => 10,
            Self::Trellis6 => 12,
            Self::Levels2 => 4,
        }
    }

    /// Bytes that a row of `elements` takes in a file, on average where it stands in a strip; `None` if a row does not
    /// end on a block's edge or the product overflows.
    pub fn row_bytes(self, elements: u64) -> Option<u64> {
        let block = self.block_elements() as u64;
        let blocks = elements.is_multiple_of(block).then_some(elements / block)?;
        blocks.checked_mul(self.block_bytes() as u64)?.checked_add(self.row_scale_bytes())
    }

    /// The field's usual name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2_K => "Q2_K",
            Self::Q3_K => "Q3_K",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
            Self::IQ4_NL => "IQ4_NL",
            Self::IQ4_XS => "IQ4_XS",
            Self::IQ3_XXS => "IQ3_XXS",
            Self::IQ3_S => "IQ3_S",
            Self::IQ2_XXS => "IQ2_XXS",
            Self::IQ2_XS => "IQ2_XS",
            Self::IQ2_S => "IQ2_S",
            Self::TQ1_0 => "TQ1_0",
            Self::TQ2_0 => "TQ2_0",
            Self::MXFP4 => "MXFP4",
            Self::Trellis2 => "TRELLIS2",
            Self::Trellis3 => "TRELLIS3",
            Self::Trellis4 => "TRELLIS4",
            Self::Trellis5 => "TRELLIS5",
            Self::Trellis6 => "TRELLIS6",
            Self::Levels2 => "LEVELS2",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How keys and values are kept in a cache. [`crate::kernel::KvLayout`] has the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum KvFormat {
    /// IEEE 754 binary32.
    F32,
    /// Signed bytes; 32 numbers share a scale.
    #[default]
    Int8,
    /// Four bits, of rotated numbers; 32 share a scale.
    Int4,
}

impl KvFormat {
    /// Its number in shaders: `KV` of `shaders/formats/shared/kv_cache.wgsl`.
    pub const fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Int8 => 1,
            Self::Int4 => 2,
        }
    }
}

/// A tensor of a program: an index into [`crate::plan::Program::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);
