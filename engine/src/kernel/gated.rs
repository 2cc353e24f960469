//! `out[i] = activation(gate[i]) * up[i]`.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::gated::Params};
use crate::tensor::TensorId;

/// What a gate does to its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu = 0,
    /// Gelu in its tanh form (Hendrycks and Gimpel 2016).
    GeluTanh = 1,
}

/// `2 sqrt(2 / pi)`: of the argument of [`Activation::GeluTanh`], which is then that of a sigmoid, since
/// `(1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u))`.
pub const GELU_LINEAR: f32 = 1.595_769_2;
/// The same times 0.044715: of the argument's cube.
pub const GELU_CUBIC: f32 = 0.071_354_814;

/// The gate of a feed-forward layer (Shazeer 2020, equation 6).
#[derive(Clone, Debug, PartialEq)]
pub struct Gated {
    /// (tokens, columns).
    pub gate: TensorId,
    /// (tokens, columns).
    pub up: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// The shader's; `activation` is an [`Activation`].
    pub params: Params,
}

impl Gated {
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
            let slope = if self.params.activation == Activation::GeluTanh as u32 {
                gate * (GELU_LINEAR + GELU_CUBIC * gate * gate)
            } else {
                *gate
            };
            *out = gate / (1.0 + (-slope).exp()) * up;
        }
    }
}
