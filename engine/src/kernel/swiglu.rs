//! `out[i] = silu(gate[i]) * up[i]`.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::swiglu::Params};
use crate::tensor::TensorId;

/// The gate of a feed-forward layer (Shazeer 2020, equation 6).
#[derive(Clone, Debug, PartialEq)]
pub struct Swiglu {
    /// (tokens, columns).
    pub gate: TensorId,
    /// (tokens, columns).
    pub up: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Swiglu {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.gate, self.up, self.out]
    }

    /// A thread for four numbers.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        flat_groups((tokens_max * (self.params.columns / 4)).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, gate: &[f32], up: &[f32], out: &mut [f32]) {
        let count = (step.tokens * self.params.columns) as usize;
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up).take(count) {
            *out = gate / (1.0 + (-gate).exp()) * up;
        }
    }
}
