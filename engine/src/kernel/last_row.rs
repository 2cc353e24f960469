//! `out[:] = x[tokens - 1, :]`.

use super::{Operands, Step, WORKGROUP, shader::last_row::Params};
use crate::tensor::TensorId;

/// The last token's row of a batch: only it is worth a product with the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRow {
    /// (tokens, columns).
    pub x: TensorId,
    /// (columns).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl LastRow {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.out]
    }

    /// A thread for four numbers.
    pub fn groups(&self) -> [u32; 3] {
        [(self.params.columns / 4).div_ceil(WORKGROUP), 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], out: &mut [f32]) {
        let columns = self.params.columns as usize;
        out[..columns].copy_from_slice(&x[(step.tokens as usize - 1) * columns..][..columns]);
    }
}
