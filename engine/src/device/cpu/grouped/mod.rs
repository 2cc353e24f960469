//! Products of interleaved weights with activations of eight bits: sixteen rows go side by side, and what is multiplied
//! and added up are whole numbers. See docs/decisions/0008-eight-bit-activations.md.

mod activations;
mod formats;
pub mod layout;
mod levels;
mod matmul;
mod matvec;
mod panel;
mod program;
pub mod strips;

pub use activations::XPart;
pub use matmul::matmul;
pub use matvec::matvec;
pub use program::{activation_bytes, activation_parts, can_interleave};

use super::simd::ROWS;
use crate::tensor::Format;
use activations::Wanted;
use formats::{Grouped, Kind, with_grouped};

/// A matrix whose rows are interleaved, sixteen at a time; the last group may have lanes of zeros.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    /// How its numbers are stored.
    pub format: Format,
    /// Length of a row.
    pub columns: usize,
    /// Without the zeros.
    pub rows: usize,
    /// Whole groups.
    pub bytes: &'a [u8],
}

impl<'a> Groups<'a> {
    /// Bytes of sixteen rows.
    pub fn group_bytes(&self) -> usize {
        ROWS * self.row_bytes()
    }

    fn row_bytes(&self) -> usize {
        self.columns / self.format.block_elements() * self.format.block_bytes()
    }

    /// A row's numbers.
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        let mut bytes = vec![0; self.row_bytes()];
        let group = &self.bytes[row / ROWS * self.group_bytes()..][..self.group_bytes()];
        layout::extract(self.format, group, row % ROWS, &mut bytes);
        crate::quant::decode_row(self.format, &bytes, out);
    }

    /// Some rows, from a whole group on.
    pub fn part(&self, first_row: usize, rows: usize) -> Groups<'a> {
        let start = first_row / ROWS * self.group_bytes();
        Groups { rows, bytes: &self.bytes[start..][..rows.div_ceil(ROWS) * self.group_bytes()], ..*self }
    }
}

/// What the format wants to know of the activations. `bias` is what the instruction set adds to weights with a sign.
fn wanted(format: Format, bias: i32) -> Wanted {
    with_grouped!(format, F => of_format::<F>(bias), Wanted { offset: 0, halves: false })
}

fn of_format<F: Grouped>(bias: i32) -> Wanted {
    Wanted { offset: if F::Kind::SIGNED { bias } else { F::OFFSET }, halves: F::Kind::HALVES == 2 }
}
