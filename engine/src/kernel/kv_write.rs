//! `cache[h, position + t, :] = x[t, h, :]`, rounded as the cache's format wants.

use super::{KvLayout, Operands, Step, shader::kv_write::Params};
use crate::tensor::{KvFormat, TensorId};

/// Puts a batch's keys or values where attention reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct KvWrite {
    /// (tokens, kv_heads, head_dim).
    pub x: TensorId,
    /// (kv_heads, context, head_dim), as [`KvLayout`] lays it out.
    pub cache: TensorId,
    /// How the cache is stored.
    pub format: KvFormat,
    /// The shader's.
    pub params: Params,
}

impl KvWrite {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.cache]
    }

    /// How each head's part of the cache is laid out.
    pub fn layout(&self) -> KvLayout {
        KvLayout::new(self.format, self.params.head_dim, self.params.context)
    }

    /// A workgroup a token.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [tokens_max, 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, x: &[f32], cache: &mut [f32]) {
        let (kv_heads, head_dim) = (self.params.kv_heads as usize, self.params.head_dim as usize);
        let layout = self.layout();
        let cache: &mut [u32] = bytemuck::cast_slice_mut(cache);
        for (token, x) in x.chunks_exact(kv_heads * head_dim).enumerate().take(step.tokens as usize) {
            let heads = cache.chunks_exact_mut(layout.head_words() as usize);
            for (x, head) in x.chunks_exact(head_dim).zip(heads) {
                layout.write_row(x, step.position as usize + token, head);
            }
        }
    }
}
