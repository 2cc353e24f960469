//! How much memory a model needs, and how much context fits.

mod encoder;

pub use encoder::admit_encoder;

use crate::{Error, Result, model::Model, model::ModelConfig};

/// Without a wish from the person, no more context than this is made room for: few conversations need more, and the
/// caches of a model made for 128,000 tokens would fill most machines.
const DEFAULT_CONTEXT_MAX: u32 = 8192;

/// Less context than this is of no use to a conversation.
const CONTEXT_MIN: u32 = 256;

/// What a model needs on the CPU, in bytes, besides a few MiB of scratch.
fn needed_bytes(config: &ModelConfig, weights_bytes: u64, context_tokens: u32) -> u64 {
    weights_bytes.saturating_add(Model::cache_bytes(config, context_tokens))
}

/// How many tokens of context to make room for. `available_bytes` is 0 if the platform does not tell.
pub fn plan_context(
    config: &ModelConfig,
    weights_bytes: u64,
    wanted: Option<u32>,
    available_bytes: u64,
) -> Result<u32> {
    if let Some(wanted) = wanted
        && (wanted == 0 || wanted > config.context_tokens)
    {
        let reason = format!("is {wanted}, but the model was made for 1 to {}", config.context_tokens);
        return Err(Error::invalid("context_tokens", reason));
    }
    let mut context = wanted.unwrap_or_else(|| config.context_tokens.min(DEFAULT_CONTEXT_MAX));
    if available_bytes == 0 {
        return Ok(context);
    }
    // A wish is kept or refused; the default steps down until it fits.
    while wanted.is_none()
        && context / 2 >= CONTEXT_MIN
        && needed_bytes(config, weights_bytes, context) > available_bytes
    {
        context /= 2;
    }
    let requested_bytes = needed_bytes(config, weights_bytes, context);
    if requested_bytes > available_bytes {
        return Err(Error::OutOfMemory {
            what: format!("the model with {context} tokens of context"),
            requested_bytes,
            available_bytes,
        });
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, LayerConfig, Naming, Scales};

    fn config(context_tokens: u32) -> ModelConfig {
        ModelConfig {
            architecture: Architecture::find_hf("llama").unwrap(),
            naming: Naming::HuggingFace,
            vocab_size: 8,
            hidden: 64,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            feed_forward: 64,
            norm_epsilon: 1e-5,
            experts: None,
            ropes: vec![],
            layer_kinds: vec![LayerConfig { rope: None, window: 0 }; 2],
            attention_bias: None,
            scales: Scales {
                embedding: 1.0,
                residual: 1.0,
                attention: 0.25,
                attention_softcap: 0.0,
                logits: 1.0,
                logits_softcap: 0.0,
            },
            context_tokens,
            tied_embedding: Some(true),
            end_tokens: vec![],
        }
    }

    // A token of cache takes 2 layers x 2 x 2 heads x 16 numbers x 4 bytes = 512 bytes.
    #[test]
    fn the_default_steps_down_and_a_wish_is_kept_or_refused() {
        let model = config(100_000);
        assert_eq!(plan_context(&model, 0, None, 0), Ok(8192));
        assert_eq!(plan_context(&config(1024), 0, None, 0), Ok(1024));
        assert_eq!(plan_context(&model, 1000, None, 1000 + 512 * 2048), Ok(2048));
        assert_eq!(plan_context(&model, 0, Some(100_000), 512 * 100_000), Ok(100_000));
        assert!(matches!(
            plan_context(&model, 1, Some(100_000), 512 * 100_000),
            Err(Error::OutOfMemory { requested_bytes: 51_200_001, available_bytes: 51_200_000, .. })
        ));
        assert!(plan_context(&model, 1 << 30, None, 1 << 20).is_err());
        assert!(plan_context(&model, 0, Some(100_001), 0).is_err());
        assert!(plan_context(&model, 0, Some(0), 0).is_err());
    }
}
