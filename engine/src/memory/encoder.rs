//! How much an encoder needs, and whether it fits.

use super::{complete, measure};
use crate::{Error, Result, device::cpu::activation_bytes, error::human_bytes, model::Encoder, protocol::MemoryPlan};

/// What a recorded encoder takes. It remembers nothing between texts, so it has no cache.
pub(super) fn measure_encoder(model: &Encoder) -> MemoryPlan {
    let filled = model.states.iter().map(|(id, _)| *id).collect();
    let plan = measure(&model.program, model.tokens_max, &filled, model.vectors, 0);
    complete(MemoryPlan { scratch_bytes: plan.scratch_bytes + activation_bytes(&model.program), ..plan })
}

/// Refuses an encoder that needs more than there is. `available_bytes` is 0 if the platform does not tell.
pub fn admit_encoder(model: &Encoder, available_bytes: u64) -> Result<()> {
    let MemoryPlan { total_bytes: requested_bytes, weights_bytes, .. } = measure_encoder(model);
    if available_bytes == 0 || requested_bytes <= available_bytes {
        return Ok(());
    }
    let (tokens, weights) = (model.tokens_max, human_bytes(weights_bytes));
    let what = format!("the model for texts of {tokens} tokens (the weights take {weights})");
    Err(Error::OutOfMemory { what, requested_bytes, available_bytes })
}
