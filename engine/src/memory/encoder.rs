//! Whether an encoder fits.

use crate::{Error, Result, model::Encoder};

/// Refuses an encoder that needs more than there is. `available_bytes` is 0 if the platform does not tell.
pub fn admit_encoder(model: &Encoder, available_bytes: u64) -> Result<()> {
    let requested_bytes = model.device_bytes();
    if available_bytes == 0 || requested_bytes <= available_bytes {
        return Ok(());
    }
    let what = format!("the model for texts of {} tokens", model.tokens_max);
    Err(Error::OutOfMemory { what, requested_bytes, available_bytes })
}
