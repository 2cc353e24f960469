//! `cache[h, position + t, :] = x[t, h, :]`.

use super::{Operands, Step, shader::kv_write::Params};
use crate::tensor::TensorId;

/// Puts a batch's keys or values where attention reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct KvWrite {
    /// (tokens, kv_heads, head_dim).
    pub x: TensorId,
    /// (kv_heads, context, head_dim).
    pub cache: TensorId,
    /// The shader's.
    pub params: Params,
}

impl KvWrite {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.cache]
    }

    /// A workgroup a token.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [tokens_max, 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], cache: &mut [f32]) {
        let (kv_heads, head_dim) = (self.params.kv_heads as usize, self.params.head_dim as usize);
        for (token, x) in x.chunks_exact(kv_heads * head_dim).enumerate().take(step.tokens as usize) {
            for (head, x) in x.chunks_exact(head_dim).enumerate() {
                let at = head * self.params.context as usize + step.position as usize + token;
                cache[at * head_dim..][..head_dim].copy_from_slice(x);
            }
        }
    }
}
