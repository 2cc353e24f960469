//! `out[i] = x[i] * Phi(x[i])`.

use super::{GELU_CUBIC, GELU_LINEAR, Operands, Step, WORKGROUP, flat_groups, shader::gelu::Params};
use crate::tensor::TensorId;

/// The Gaussian error linear unit, exact or in the form with tanh (Hendrycks and Gimpel 2016).
#[derive(Clone, Debug, PartialEq)]
pub struct Gelu {
    /// (tokens, columns).
    pub x: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Gelu {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.out]
    }

    /// A thread for four numbers.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        flat_groups((tokens_max * (self.params.columns / 4)).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], out: &mut [f32]) {
        let count = (step.tokens * self.params.columns) as usize;
        for (out, value) in out.iter_mut().zip(x).take(count) {
            *out = if self.params.tanh_form == 1 {
                // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), which neither overflows nor cancels.
                let slope = value * (GELU_LINEAR + GELU_CUBIC * value * value);
                value / (1.0 + (-slope).exp())
            } else {
                value.max(0.0) - value.abs() * upper_tail(value.abs())
            };
        }
    }
}

/// `1 - Phi(a)` for `a >= 0`, to 8e-8: half the complementary error function of `a / sqrt(2)`, by Abramowitz and
/// Stegun, Handbook of Mathematical Functions (1964), formula 7.1.26.
fn upper_tail(a: f32) -> f32 {
    let t = 1.0 / (1.0 + TAIL_STEP * a);
    let series = TAIL_SERIES.iter().fold(0.0, |sum, term| (sum + term) * t);
    0.5 * series * (-0.5 * a * a).exp()
}

/// The formula's p over the square root of 2.
pub(crate) const TAIL_STEP: f32 = 0.231_641_89;

/// The formula's coefficients, the last one first.
pub(crate) const TAIL_SERIES: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
