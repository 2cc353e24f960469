//! `x[t, c] += bias[c]`.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::add_bias::Params};
use crate::tensor::TensorId;

/// Adds a vector to each token's row, in place.
#[derive(Clone, Debug, PartialEq)]
pub struct AddBias {
    /// (columns), F32.
    pub bias: TensorId,
    /// (tokens, columns).
    pub x: TensorId,
    /// The shader's.
    pub params: Params,
}

impl AddBias {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.bias, self.x]
    }

    /// How many rows are meant.
    pub fn rows(&self, tokens: u32) -> u32 {
        if self.params.single == 1 { 1 } else { tokens }
    }

    /// A thread for four numbers.
    pub fn groups(&self, tokens: u32) -> [u32; 3] {
        flat_groups((self.rows(tokens) * (self.params.columns / 4)).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, bias: &[f32], x: &mut [f32]) {
        let columns = self.params.columns as usize;
        for x in x.chunks_exact_mut(columns).take(self.rows(step.tokens) as usize) {
            for (x, bias) in x.iter_mut().zip(bias) {
                *x += bias;
            }
        }
    }
}
