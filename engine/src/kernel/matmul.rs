//! `out[t, r] = sum_c weights[r, c] * x[t, c]`, or added to what is there.

use super::{Matrix, Operands, Step};
use crate::tensor::TensorId;

/// Tokens and rows of the tile that a workgroup computes.
const TILE: u32 = 32;

/// A matrix times a batch of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Matmul {
    /// (tokens, columns).
    pub x: TensorId,
    /// (rows, columns), in any format.
    pub weights: TensorId,
    /// (tokens, rows).
    pub out: TensorId,
    /// Length of a row; a multiple of 4.
    pub columns: u32,
    /// Rows of the whole matrix.
    pub rows: u32,
    /// Whether the product is added to `out`.
    pub accumulate: bool,
}

impl Matmul {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.weights, self.out]
    }

    /// For a part of the matrix with so many rows.
    pub fn groups(rows: u32, tokens_max: u32) -> [u32; 3] {
        [rows.div_ceil(TILE), tokens_max.div_ceil(TILE), 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], weights: Matrix<'_>, out: &mut [f32]) {
        let (columns, rows) = (self.columns as usize, self.rows as usize);
        let mut row = vec![0.0; columns];
        for index in 0..weights.rows.min(rows) {
            weights.decode_row(index, &mut row);
            for (token, x) in x.chunks_exact(columns).enumerate().take(step.tokens as usize) {
                let total: f32 = row.iter().zip(x).map(|(weight, x)| weight * x).sum();
                let out = &mut out[token * rows + index];
                *out = if self.accumulate { *out + total } else { total };
            }
        }
    }
}
