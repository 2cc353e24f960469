//! Which experts a token goes to, and with which shares.

use super::{Operands, Step, shader::route::Params};
use crate::tensor::TensorId;

/// The most experts that the shader's shared memory holds scores for.
pub const EXPERTS_MAX: u32 = 256;

/// The most experts that a token may go to.
pub const SLOTS_MAX: u32 = 16;

/// Chooses the experts of the highest scores (Shazeer et al. 2017).
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// (tokens, experts).
    pub scores: TensorId,
    /// (tokens, slots, 2): an expert's number, which F32 holds exactly, and its share.
    pub out: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Route {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.scores, self.out]
    }

    /// A workgroup a token.
    pub fn groups(&self, tokens: u32) -> [u32; 3] {
        [tokens, 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, scores: &[f32], out: &mut [f32]) {
        let Params { experts, slots, renormalise } = self.params;
        let rows = scores.chunks_exact(experts as usize).zip(out.chunks_exact_mut(2 * slots as usize));
        for (scores, out) in rows.take(step.tokens as usize) {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let place = |expert: usize| {
                let own = scores[expert];
                let before = |(other, score): (usize, &f32)| *score > own || (*score == own && other < expert);
                scores.iter().enumerate().filter(|score| before(*score)).count()
            };
            let chosen = |expert: usize| place(expert) < slots as usize;
            let total: f32 = (0..scores.len())
                .filter(|expert| renormalise == 0 || chosen(*expert))
                .map(|expert| (scores[expert] - highest).exp())
                .sum();
            for expert in (0..scores.len()).filter(|expert| chosen(*expert)) {
                let at = 2 * place(expert);
                out[at] = expert as f32;
                out[at + 1] = (scores[expert] - highest).exp() / total;
            }
        }
    }
}
