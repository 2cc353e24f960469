//! `out[t, :] = table[ids[t], :]`.

use super::{Matrix, Operands, Step};
use crate::tensor::TensorId;

/// Copies the embedding of each token of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// (vocabulary, columns), in any format.
    pub table: TensorId,
    /// (tokens): the step's token numbers.
    pub ids: TensorId,
    /// (tokens, columns).
    pub out: TensorId,
    /// Length of an embedding; a multiple of 4.
    pub columns: u32,
}

impl Embed {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.table, self.ids, self.out]
    }

    /// A workgroup a token.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [tokens_max, 1, 1]
    }

    /// The scalar twin. A token beyond the table gets zeros; the session refuses such tokens before.
    pub fn twin(&self, step: Step, table: Matrix<'_>, ids: &[u32], out: &mut [f32]) {
        let columns = self.columns as usize;
        for (id, row) in ids[..step.tokens as usize].iter().zip(out.chunks_exact_mut(columns)) {
            if (*id as usize) < table.rows {
                table.decode_row(*id as usize, row);
            } else {
                row.fill(0.0);
            }
        }
    }
}
