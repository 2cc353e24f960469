//! `out[t, r, i] = x[t, r, i] / sqrt(mean(x[t, r, :]^2) + epsilon) * weight[i]`.

use super::{Operands, Step, shader::rms_norm::Params};
use crate::tensor::TensorId;

/// Root mean square normalisation (Zhang and Sennrich 2019, equation 4).
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNorm {
    /// (tokens, rows, columns).
    pub x: TensorId,
    /// (columns), F32.
    pub weight: TensorId,
    /// (tokens, rows, columns).
    pub out: TensorId,
    /// Whether only one token's rows are meant, whatever the batch.
    pub single: bool,
    /// The shader's.
    pub params: Params,
}

impl RmsNorm {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.weight, self.out]
    }

    /// A workgroup a row.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [self.params.rows, if self.single { 1 } else { tokens_max }, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let columns = self.params.columns as usize;
        let rows = if self.single { 1 } else { step.tokens as usize } * self.params.rows as usize;
        for (x, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(columns)).take(rows) {
            let sum: f32 = x.iter().map(|value| value * value).sum();
            let factor = 1.0 / (sum / columns as f32 + self.params.epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * factor * weight;
            }
        }
    }
}
