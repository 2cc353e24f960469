//! What to load within a budget: how much context, and how many bytes of weights at a time.

use std::collections::BTreeMap;

use super::{CONTEXT_MIN, DEFAULT_CONTEXT_MAX, Planner};
use crate::{
    Error, Result,
    error::human_bytes,
    plan::{Placement, Program},
    protocol::{ComponentUse, MemoryPlan},
};

/// For so much context weights are read anew, but for no more: nobody asked for it.
const CONTEXT_WORTH_STREAMING: u32 = 2048;

/// What fits a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// Tokens of context.
    pub context_tokens: u32,
    /// Bytes of weights that may be in memory at a time.
    pub weights_bytes_max: u64,
}

impl Planner<'_> {
    /// What fits so many bytes. A wish for a context is kept; without one it is what is usual, less if all weights fit
    /// then, and as little as leaves weights half of the budget.
    pub fn fit(&mut self, wanted: Option<u32>, budget_bytes: u64) -> Result<Fitted> {
        let context_tokens = match wanted {
            Some(_) => self.choose_context(wanted, 0)?,
            None => self.context_within(budget_bytes)?,
        };
        let plan = self.plan(context_tokens)?;
        let beside_bytes = beside_weights(&plan);
        if beside_bytes >= budget_bytes {
            let what = format!("{context_tokens} tokens of context beside the weights");
            return Err(Error::OutOfMemory { what, requested_bytes: beside_bytes, available_bytes: budget_bytes });
        }
        Ok(Fitted { context_tokens, weights_bytes_max: budget_bytes - beside_bytes })
    }

    fn context_within(&mut self, budget_bytes: u64) -> Result<u32> {
        let made_for = self.made_for();
        let longest = made_for.min(DEFAULT_CONTEXT_MAX);
        let least = made_for.min(CONTEXT_MIN);
        let halves = |from: u32| std::iter::successors(Some(from), |context| Some(context / 2));
        for context in halves(longest).take_while(|context| *context >= CONTEXT_WORTH_STREAMING.min(longest)) {
            if self.plan(context)?.total_bytes <= budget_bytes {
                return Ok(context);
            }
        }
        for context in halves(longest.min(CONTEXT_WORTH_STREAMING)).take_while(|context| *context > least) {
            if beside_weights(&self.plan(context)?) <= budget_bytes / 2 {
                return Ok(context);
            }
        }
        Ok(least)
    }
}

/// What is needed whichever weights are there.
fn beside_weights(plan: &MemoryPlan) -> u64 {
    plan.total_bytes.saturating_sub(plan.weights_bytes)
}

/// The plan of a model whose weights are placed so.
pub fn placed_plan(plan: &MemoryPlan, placement: &Placement) -> MemoryPlan {
    if !placement.streams() {
        return *plan;
    }
    let weights_bytes = placement.resident_bytes() + placement.slots_bytes();
    MemoryPlan { weights_bytes, total_bytes: beside_weights(plan).saturating_add(weights_bytes), ..*plan }
}

/// What stays of each part of a model, by the names of its tensors.
pub fn components(program: &Program, placement: &Placement) -> Vec<ComponentUse> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut components: Vec<ComponentUse> = Vec::new();
    for (unit, slot) in placement.units.iter().zip(&placement.places) {
        for (id, _) in &unit.tensors {
            let decl = program.tensor(*id);
            let name = component_name(&decl.label);
            let place = *places.entry(name.clone()).or_insert(components.len());
            if place == components.len() {
                components.push(ComponentUse { name, ..ComponentUse::default() });
            }
            components[place].bytes += decl.bytes();
            components[place].resident_bytes += if slot.is_none() { decl.bytes() } else { 0 };
        }
    }
    components
}

/// "model.layers.3.mlp.up_proj.weight" and "blk.3.ffn_up.weight" are of "layer 3".
fn component_name(label: &str) -> String {
    let behind = ["layers.", "blk."].iter().find_map(|word| label.split_once(word)).map(|(_, behind)| behind);
    let number = behind.and_then(|behind| behind.split('.').next()).and_then(|number| number.parse::<u32>().ok());
    match number {
        Some(number) => format!("layer {number}"),
        None if label.contains("embd") || label.contains("embed") => "embedding".to_owned(),
        None => "head".to_owned(),
    }
}

/// What is said of weights that are not all in memory, to a person.
pub fn streaming_words(placement: &Placement) -> String {
    let [resident, streamed] = [placement.resident_bytes(), placement.streamed_bytes()].map(human_bytes);
    format!("{resident} of the weights stay in memory, {streamed} are read anew for each token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_counted_with_their_layer() {
        for (label, expected) in [
            ("model.layers.31.mlp.up_proj.weight", "layer 31"),
            ("blk.0.ffn_up.weight", "layer 0"),
            ("model.embed_tokens.weight", "embedding"),
            ("token_embd.weight", "embedding"),
            ("lm_head.weight", "head"),
            ("output.weight", "head"),
        ] {
            assert_eq!(component_name(label), expected, "{label}");
        }
    }
}
