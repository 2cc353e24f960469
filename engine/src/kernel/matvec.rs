//! `out[r] = sum_c weights[r, c] * x[c]`, or added to what is there.

use super::{Matrix, Operands, flat_groups};
use crate::tensor::TensorId;

/// Rows that a workgroup computes.
const ROWS: u32 = 4;

/// A matrix times one vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Matvec {
    /// (columns).
    pub x: TensorId,
    /// (rows, columns), in any format.
    pub weights: TensorId,
    /// (rows).
    pub out: TensorId,
    /// Length of a row; a multiple of 4.
    pub columns: u32,
    /// Rows of the whole matrix.
    pub rows: u32,
    /// Whether the product is added to `out`.
    pub accumulate: bool,
}

impl Matvec {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.weights, self.out]
    }

    /// For a part of the matrix with so many rows.
    pub fn groups(rows: u32) -> [u32; 3] {
        flat_groups(rows.div_ceil(ROWS))
    }

    /// The scalar twin.
    pub fn twin(&self, x: &[f32], weights: Matrix<'_>, out: &mut [f32]) {
        let mut row = vec![0.0; weights.columns];
        for (index, out) in out.iter_mut().enumerate().take(weights.rows) {
            weights.decode_row(index, &mut row);
            let total: f32 = row.iter().zip(x).map(|(weight, x)| weight * x).sum();
            *out = if self.accumulate { *out + total } else { total };
        }
    }
}
