//! `out[t, c] = sum_s share[t, s] * x[t, s, c]`, or added to what is there.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::mix::Params};
use crate::tensor::TensorId;

/// Puts the answers of each token's experts together.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// (tokens, slots, columns).
    pub x: TensorId,
    /// (tokens, slots, 2): what [`super::Route`] wrote.
    pub routing: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Mix {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.routing, self.out]
    }

    /// A thread for four numbers.
    pub fn groups(&self, tokens: u32) -> [u32; 3] {
        flat_groups((tokens * (self.params.columns / 4)).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], routing: &[f32], out: &mut [f32]) {
        let (columns, slots) = (self.params.columns as usize, self.params.slots as usize);
        for (token, out) in out.chunks_exact_mut(columns).enumerate().take(step.tokens as usize) {
            for (column, out) in out.iter_mut().enumerate() {
                let mut sum = if self.params.accumulate == 1 { *out } else { 0.0 };
                for pair in token * slots..(token + 1) * slots {
                    sum += routing[2 * pair + 1] * x[pair * columns + column];
                }
                *out = sum;
            }
        }
    }
}
