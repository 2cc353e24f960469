//! Bytes that a token must read, whoever computes it: the floor under its time.

use std::collections::BTreeMap;

use crate::{
    model::{Model, PlanIndex, StateInit},
    plan::{Command, TensorKind},
};

/// How much of a tensor a step reads: so many of so many.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Part {
    read: u64,
    of: u64,
}

/// Of a token that is decoded behind `depth_tokens` others: each matrix and vector once, one row of the embedding, the
/// experts that are used, and the keys and values that attention sees. What stays in a step's scratch memory does not
/// count.
pub fn bytes_per_token(model: &Model, depth_tokens: u32) -> u64 {
    let Some(plan) = model.program.plans.get(PlanIndex::Decode as usize) else { return 0 };
    let context = u64::from(model.context_tokens.max(1));
    let seen = (u64::from(depth_tokens) + 1).min(context);
    let caches = model.program.caches();
    let mut parts: BTreeMap<_, Part> = BTreeMap::new();
    for command in &plan.commands {
        for id in command.operands() {
            let tensor = model.program.tensor(id);
            let filled = model.states.iter().find(|(state, _)| *state == id).map(|(_, init)| init);
            let is_cache = caches.contains(&id);
            let part = match (command, tensor.kind) {
                (Command::Embed(_), TensorKind::Weight(_)) => Part { read: 1, of: tensor.rows },
                (Command::ExpertMatvec(matvec), TensorKind::Weight(_)) => {
                    Part { read: matvec.slots.into(), of: matvec.experts.into() }
                }
                (_, TensorKind::Weight(_)) => Part { read: 1, of: 1 },
                (Command::Attention(attention), _) if is_cache && attention.params.window > 0 => {
                    Part { read: seen.min(attention.params.window.into()), of: context }
                }
                (Command::KvWrite(_), _) if is_cache => Part { read: 0, of: 1 },
                _ if is_cache => Part { read: seen, of: context },
                _ if matches!(filled, Some(StateInit::RopeTable { .. })) => Part { read: 1, of: context },
                _ if filled.is_some() => Part { read: 1, of: 1 },
                _ => continue,
            };
            // A tied embedding is a head too: whoever reads most of a tensor says how much is read.
            let known = parts.entry(id).or_insert(part);
            if u128::from(part.read) * u128::from(known.of) > u128::from(known.read) * u128::from(part.of) {
                *known = part;
            }
        }
    }
    let bytes = |(id, part): (_, Part)| {
        let whole = u128::from(model.program.tensor(id).bytes());
        (whole * u128::from(part.read) / u128::from(part.of.max(1))) as u64
    };
    parts.into_iter().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::open_shape,
        model::ModelConfig,
        protocol::BenchShape::{self, Llama8b, Qwen3_0_6b},
        tensor::Format,
    };

    fn model(shape: BenchShape, format: Format, context_tokens: u32) -> Model {
        let opened = open_shape(shape, format, 1).unwrap();
        Model::record(ModelConfig::read(&opened.documents).unwrap(), &opened.catalog, context_tokens, false).unwrap()
    }

    #[test]
    fn a_token_reads_every_weight_but_the_embedding_and_all_keys_and_values_behind_it() {
        let model = model(Llama8b, Format::Q4_0, 256);
        // 18 bytes for each 32 weights: the head, and 32 layers of 218,103,808; 65 norms of F32.
        let matrices = (128_256 * 4096 + 32 * 218_103_808) / 32 * 18;
        let row = 4096 / 32 * 18;
        let vectors = 65 * 4096 * 4 + 128 * 4;
        let fixed = matrices + row + vectors;
        // 2 x 32 layers x 8 heads x 128 numbers of F32 a position, its own the last.
        let position = 2 * 32 * 8 * 128 * 4;
        assert_eq!(bytes_per_token(&model, 0), fixed + position);
        assert_eq!(bytes_per_token(&model, 99), fixed + 100 * position);
    }

    #[test]
    fn a_tied_embedding_is_read_once_as_a_head() {
        let opened = open_shape(Qwen3_0_6b, Format::Q8_0, 1).unwrap();
        let model = model(Qwen3_0_6b, Format::Q8_0, 64);
        let position = 2 * 28 * 8 * 128 * 4;
        let rope_row = 128 * 4;
        assert_eq!(bytes_per_token(&model, 0), opened.catalog.weights_bytes() + position + rope_row);
    }
}
