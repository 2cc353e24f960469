//! A normed branch onto the residual stream, for one token. Its twin is the sequence of the twins of the norm and of the
//! addition.

use super::{WORKGROUP, shader::norm_add::Params};
use crate::tensor::TensorId;

/// `out[c] += factor * x[c] / sqrt(mean(x^2) + epsilon) * weight[c]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NormAdd {
    /// (columns).
    pub x: TensorId,
    /// (columns), F32.
    pub weight: TensorId,
    /// (columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl NormAdd {
    /// In the order of the bindings.
    pub fn operands(&self) -> [TensorId; 3] {
        [self.x, self.weight, self.out]
    }

    /// A thread for four numbers.
    pub fn groups(&self) -> [u32; 3] {
        [(self.params.columns / 4).div_ceil(WORKGROUP), 1, 1]
    }
}
