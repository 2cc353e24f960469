//! `x[t, :] = H (signs * x[t, :])`, or what undoes it, in blocks.

use super::{Operands, Step, shader::rotate::Params};
use crate::{
    quant::rotation::{rotate, unrotate},
    tensor::TensorId,
};

/// Multiplies blocks of each token's numbers with a Hadamard matrix, and them or what comes out with signs, in place: see
/// [`crate::quant::rotation`].
#[derive(Clone, Debug, PartialEq)]
pub struct Rotate {
    /// (columns).
    pub signs: TensorId,
    /// (tokens, columns), or one row if `params.single` is 1.
    pub x: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Rotate {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.signs, self.x]
    }

    /// A workgroup for a block of a token.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        let rows = if self.params.single == 1 { 1 } else { tokens_max };
        [self.params.columns / self.params.block, rows, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, signs: &[f32], x: &mut [f32]) {
        let (columns, block) = (self.params.columns as usize, self.params.block as usize);
        let rows = if self.params.single == 1 { 1 } else { step.tokens as usize };
        for x in x.chunks_exact_mut(columns).take(rows) {
            if self.params.undo == 1 { unrotate(x, signs, block) } else { rotate(x, signs, block) }
        }
    }
}
