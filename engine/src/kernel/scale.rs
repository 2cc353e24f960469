//! `x[t, c] = softcap(x[t, c] * factor)`.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::scale::Params, softcap::softcap};
use crate::tensor::TensorId;

/// Multiplies each token's row by a number, in place, and bends what comes out below a cap if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// (tokens, columns).
    pub x: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Scale {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x]
    }

    /// How many rows are meant.
    pub fn rows(&self, tokens: u32) -> u32 {
        if self.params.single == 1 { 1 } else { tokens }
    }

    /// A thread for each number: a vocabulary need not be a multiple of four.
    pub fn groups(&self, tokens: u32) -> [u32; 3] {
        flat_groups((self.rows(tokens) * self.params.columns).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &mut [f32]) {
        for x in &mut x[..(self.rows(step.tokens) * self.params.columns) as usize] {
            *x *= self.params.factor;
            if self.params.softcap > 0.0 {
                *x = softcap(*x, self.params.softcap);
            }
        }
    }
}
