//! `out[t, s, r] = sum_c weights[expert[t, s] * rows + r, c] * x[t, s or 0, c]`.

use super::{Matrix, Operands, Step};
use crate::tensor::TensorId;

/// Rows that a workgroup computes.
const ROWS: u32 = 4;

/// For each token and each of its experts, the expert's matrix times a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertMatvec {
    /// (tokens, slots, columns), or (tokens, columns) if `x_shared`.
    pub x: TensorId,
    /// (experts, rows, columns), in any format: the experts' matrices, one below the other.
    pub weights: TensorId,
    /// (tokens, slots, 2): what [`super::Route`] wrote.
    pub routing: TensorId,
    /// (tokens, slots, rows).
    pub out: TensorId,
    /// Length of a row; a multiple of 4.
    pub columns: u32,
    /// Of one expert; a multiple of 4.
    pub rows: u32,
    /// How many experts there are.
    pub experts: u32,
    /// How many a token goes to.
    pub slots: u32,
    /// Whether all experts of a token read the same vector.
    pub x_shared: bool,
}

impl ExpertMatvec {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.weights, self.routing, self.out]
    }

    /// Rows of `x` for each token.
    pub fn x_slots(&self) -> u32 {
        if self.x_shared { 1 } else { self.slots }
    }

    /// A workgroup for four rows of an expert of a token.
    pub fn groups(&self, tokens: u32) -> [u32; 3] {
        [self.rows.div_ceil(ROWS), self.slots, tokens]
    }

    /// The expert of each token's slots; `None` where a score that is no number left a slot without one.
    pub fn experts<'a>(&self, step: Step, routing: &'a [f32]) -> impl Iterator<Item = Option<usize>> + 'a {
        let experts = self.experts;
        let pairs = routing.chunks_exact(2).take((step.tokens * self.slots) as usize);
        pairs.map(move |pair| Some(pair[0] as usize).filter(|expert| *expert < experts as usize))
    }

    /// An expert's matrix.
    pub fn matrix<'a>(&self, weights: Matrix<'a>, expert: usize) -> Matrix<'a> {
        let rows = self.rows as usize;
        weights.part(expert * rows, rows)
    }

    /// Which row of `x` the slot with that number, counted over all tokens, reads.
    pub fn x_row(&self, pair: usize) -> usize {
        if self.x_shared { pair / self.slots as usize } else { pair }
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], weights: Matrix<'_>, routing: &[f32], out: &mut [f32]) {
        let columns = self.columns as usize;
        let mut row = vec![0.0; columns];
        let outs = out.chunks_exact_mut(self.rows as usize);
        for ((pair, expert), out) in self.experts(step, routing).enumerate().zip(outs) {
            let Some(expert) = expert else { continue };
            let weights = self.matrix(weights, expert);
            let x = &x[self.x_row(pair) * columns..][..columns];
            for (index, out) in out.iter_mut().enumerate() {
                weights.decode_row(index, &mut row);
                *out = row.iter().zip(x).map(|(weight, x)| weight * x).sum();
            }
        }
    }
}
