//! From a window of bits to a number.

use crate::{Error, Result};

/// What a window is multiplied with, modulo 2^32, so that its bits spread over four bytes.
pub const MULTIPLIER: u32 = 0x83DC_D12D;

/// How many bits of a window may count: the more, the better the code and the slower the encoder.
pub const WINDOW_BITS: [u32; 3] = [12, 14, 16];

/// Which bits of the product's bytes are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codebook {
    /// Seven bits of each byte: whole numbers from -254 to 254.
    #[default]
    Sum7,
    /// Six bits of each byte: from -126 to 126.
    Sum6,
}

impl Codebook {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Sum7, Self::Sum6];

    /// As files name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum7 => "sum7",
            Self::Sum6 => "sum6",
        }
    }

    /// The one that a file names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codebook| codebook.name() == name)
    }

    /// Which bits of the product count.
    pub const fn mask(self) -> u32 {
        match self {
            Self::Sum7 => 0x7f7f_7f7f,
            Self::Sum6 => 0x3f3f_3f3f,
        }
    }

    /// What is taken from the sum of four bytes, so that numbers lie around 0.
    pub const fn offset(self) -> i32 {
        match self {
            Self::Sum7 => 254,
            Self::Sum6 => 126,
        }
    }

    /// What a number is multiplied with besides its row's scale: numbers then have a deviation near 1.15.
    pub const fn unit(self) -> f32 {
        match self {
            Self::Sum7 => 1.0 / 64.0,
            Self::Sum6 => 1.0 / 32.0,
        }
    }
}

/// How a file's windows are read. It is one for all trellis tensors of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// From window to number.
    pub codebook: Codebook,
    /// How many of a window's bits count, from the lowest.
    window_bits: u32,
}

impl Default for Code {
    fn default() -> Self {
        Self { codebook: Codebook::Sum7, window_bits: 16 }
    }
}

impl Code {
    /// One of [`WINDOW_BITS`], or an error that says so.
    pub fn new(codebook: Codebook, window_bits: u32) -> Result<Self> {
        if !WINDOW_BITS.contains(&window_bits) {
            let reason = format!("{window_bits} is none of {WINDOW_BITS:?}");
            return Err(Error::config("quantization_config.window_bits", reason));
        }
        Ok(Self { codebook, window_bits })
    }

    /// How many of a window's bits count.
    pub const fn window_bits(self) -> u32 {
        self.window_bits
    }

    /// Which of a window's bits count.
    pub const fn window_mask(self) -> u32 {
        (1 << self.window_bits) - 1
    }

    /// The number of a window, not yet scaled.
    #[inline(always)]
    pub const fn number(self, window: u16) -> i32 {
        let product = (window as u32 & self.window_mask()).wrapping_mul(MULTIPLIER) & self.codebook.mask();
        // The sum of four bytes is at most 508: it stands in the highest bits of a product of 16-bit lanes.
        let pairs = (product & 0x00ff_00ff) + (product >> 8 & 0x00ff_00ff);
        ((pairs & 0xffff) + (pairs >> 16)) as i32 - self.codebook.offset()
    }
}
