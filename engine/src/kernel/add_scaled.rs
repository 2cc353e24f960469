//! `out[t, c] += factor * x[t, c]`.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::add_scaled::Params};
use crate::tensor::TensorId;

/// Adds a branch to the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct AddScaled {
    /// (tokens, columns).
    pub x: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl AddScaled {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.out]
    }

    /// A thread for four numbers.
    pub fn groups(&self, tokens: u32) -> [u32; 3] {
        flat_groups((tokens * (self.params.columns / 4)).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], out: &mut [f32]) {
        let count = (step.tokens * self.params.columns) as usize;
        for (out, x) in out.iter_mut().zip(x).take(count) {
            *out += self.params.factor * x;
        }
    }
}
