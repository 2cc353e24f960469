//! `out[t, i] = (x[t, i] - mean(x[t, :])) / sqrt(variance(x[t, :]) + epsilon) * weight[i] + bias[i]`.

use super::{Operands, Step, shader::layer_norm::Params};
use crate::tensor::TensorId;

/// Layer normalisation (Ba, Kiros and Hinton 2016, equation 4).
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// (tokens, columns).
    pub x: TensorId,
    /// (columns), F32.
    pub weight: TensorId,
    /// (columns), F32.
    pub bias: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl LayerNorm {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.weight, self.bias, self.out]
    }

    /// A workgroup a row.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [tokens_max, 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
        let columns = self.params.columns as usize;
        let rows = x.chunks_exact(columns).zip(out.chunks_exact_mut(columns)).take(step.tokens as usize);
        for (x, out) in rows {
            let mean = x.iter().sum::<f32>() / columns as f32;
            let sum: f32 = x.iter().map(|value| (value - mean) * (value - mean)).sum();
            let factor = 1.0 / (sum / columns as f32 + self.params.epsilon).sqrt();
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * factor * weight + bias;
            }
        }
    }
}
