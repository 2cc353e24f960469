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
}

impl Format {
    /// All formats, for tests and tables.
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

    /// How many elements one block holds; 1 where every element stands alone.
    pub const fn block_elements(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::IQ4_NL | Self::MXFP4 => 32,
            _ => 256,
        }
    }

    /// How many bytes one block takes in a file.
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
        }
    }

    /// Bytes that a row of `elements` takes in a file; `None` if a row does not end on a block's edge or the
    /// product overflows.
    pub fn row_bytes(self, elements: u64) -> Option<u64> {
        let block = self.block_elements() as u64;
        elements.is_multiple_of(block).then(|| (elements / block).checked_mul(self.block_bytes() as u64)).flatten()
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
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor of a program: an index into [`crate::plan::Program::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);
