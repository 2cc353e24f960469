//! Attention over the cache.

use std::ops::Range;

use super::{KvLayout, Operands, Step, shader::attention::Params, softcap::softcap};
use crate::tensor::{KvFormat, TensorId};

/// The widest head that the shader's shared memory holds.
pub const HEAD_DIM_MAX: u32 = 256;

/// Each query head looks at the keys up to its own token, or at those of the whole batch too; several query heads share a key head (Ainslie et al. 2023).
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// (tokens, heads, head_dim).
    pub queries: TensorId,
    /// (kv_heads, context, head_dim), as [`KvLayout`] lays it out.
    pub keys: TensorId,
    /// The same.
    pub values: TensorId,
    /// How keys and values are stored.
    pub format: KvFormat,
    /// (tokens, heads, head_dim).
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Attention {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.queries, self.keys, self.values, self.out]
    }

    /// How each head's part of a cache is laid out.
    pub fn layout(&self) -> KvLayout {
        KvLayout::new(self.format, self.params.head_dim, self.params.context)
    }

    /// All numbers of a cache.
    fn unpacked(&self, cache: &[f32]) -> Vec<f32> {
        let (layout, cache): (_, &[u32]) = (self.layout(), bytemuck::cast_slice(cache));
        let mut numbers = vec![0.0; layout.context * layout.head_dim * self.params.kv_heads as usize];
        let heads = cache.chunks_exact(layout.head_words() as usize);
        for (head, numbers) in heads.zip(numbers.chunks_exact_mut(layout.context * layout.head_dim)) {
            for (position, row) in numbers.chunks_exact_mut(layout.head_dim).enumerate() {
                layout.read_row(head, position, row);
            }
        }
        numbers
    }

    /// A workgroup for each head of each token.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [self.params.heads, tokens_max, 1]
    }

    /// The positions that a token of the batch sees.
    pub fn visible(&self, step: Step, token: u32) -> Range<u32> {
        let position = step.position + token;
        let first = if self.params.window > 0 { (position + 1).saturating_sub(self.params.window) } else { 0 };
        first..if self.params.causal == 1 { position + 1 } else { step.position + step.tokens }
    }

    /// The scalar twin: all heads of all tokens.
    pub fn twin(&self, step: Step, queries: &[f32], keys: &[f32], values: &[f32], out: &mut [f32]) {
        let head_dim = self.params.head_dim as usize;
        let (keys, values) = (&self.unpacked(keys), &self.unpacked(values));
        let count = (step.tokens * self.params.heads) as usize;
        let mut scores = Vec::new();
        for (index, out) in out.chunks_exact_mut(head_dim).enumerate().take(count) {
            let (token, head) = (index as u32 / self.params.heads, index as u32 % self.params.heads);
            let query = &queries[index * head_dim..][..head_dim];
            self.twin_head(head, self.visible(step, token), query, keys, values, &mut scores, out);
        }
    }

    /// One head of one token, which sees the positions `visible`. `scores` is scratch memory.
    #[allow(clippy::too_many_arguments, reason = "they are the shader's bindings")]
    pub fn twin_head(
        &self,
        head: u32,
        visible: Range<u32>,
        query: &[f32],
        keys: &[f32],
        values: &[f32],
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let head_dim = self.params.head_dim as usize;
        let kv_head = (head / (self.params.heads / self.params.kv_heads)) as usize;
        let start = kv_head * self.params.context as usize * head_dim;
        let span = start + visible.start as usize * head_dim..start + visible.end as usize * head_dim;
        scores.clear();
        scores.extend(
            keys[span.clone()]
                .chunks_exact(head_dim)
                .map(|key| key.iter().zip(query).map(|(key, query)| key * (query * self.params.scale)).sum::<f32>()),
        );
        if self.params.softcap > 0.0 {
            scores.iter_mut().for_each(|score| *score = softcap(*score, self.params.softcap));
        }
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        out.fill(0.0);
        for (score, value) in scores.iter().zip(values[span].chunks_exact(head_dim)) {
            let share = (score - highest).exp();
            total += share;
            for (out, value) in out.iter_mut().zip(value) {
                *out += share * value;
            }
        }
        for out in out {
            *out /= total;
        }
    }
}
