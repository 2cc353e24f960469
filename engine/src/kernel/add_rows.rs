//! `x[t, :] += table[position + t, :]`.

use super::{Operands, Step, WORKGROUP, flat_groups, shader::add_rows::Params};
use crate::tensor::TensorId;

/// Adds a table's row to each token of the batch, by its position.
#[derive(Clone, Debug, PartialEq)]
pub struct AddRows {
    /// (context, columns), F32.
    pub table: TensorId,
    /// (tokens, columns).
    pub x: TensorId,
    /// The shader's.
    pub params: Params,
}

impl AddRows {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.table, self.x]
    }

    /// A thread for four numbers.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        flat_groups((tokens_max * (self.params.columns / 4)).div_ceil(WORKGROUP))
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, table: &[f32], x: &mut [f32]) {
        let columns = self.params.columns as usize;
        let rows = &table[step.position as usize * columns..];
        for (x, row) in x.iter_mut().zip(rows).take(step.tokens as usize * columns) {
            *x += row;
        }
    }
}
