//! A configuration as llama.cpp writes it: a GGUF's metadata.

use super::{
    Architecture, ExpertConfig, LayerConfig, ModelConfig, Naming, RopeConfig, RopeScaling, Scales, Windows,
    config::check_layers, fields::need, rope::yarn_attention_factor,
};
use crate::{
    Error, Result,
    file::{GgufArray, GgufMetadata, GgufValue},
};

/// Metadata, with the architecture's name before each key.
struct Keys<'a> {
    metadata: &'a GgufMetadata,
    prefix: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn u32(&self, name: &str) -> Result<Option<u32>> {
        self.metadata.find_u32(&self.key(name))
    }

    fn f64(&self, name: &str) -> Result<Option<f64>> {
        Ok(self.metadata.find_f32(&self.key(name))?.map(f64::from))
    }

    fn need(&self, name: &str) -> Result<u32> {
        self.metadata.u32(&self.key(name))
    }
}

/// Reads a GGUF's metadata.
pub fn read(metadata: &GgufMetadata) -> Result<ModelConfig> {
    let prefix = metadata.string("general.architecture")?;
    let architecture = Architecture::find_gguf(prefix)?;
    let keys = Keys { metadata, prefix };
    let hidden = keys.need("embedding_length")?;
    let heads = keys.need("attention.head_count")?;
    let layers = keys.need("block_count")?;
    check_layers(layers)?;
    let head_dim = match keys.u32("attention.key_length")? {
        Some(length) => length,
        None => hidden.checked_div(heads).unwrap_or(0),
    };
    if keys.u32("attention.value_length")?.is_some_and(|length| length != head_dim) {
        return Err(Error::config(keys.key("attention.value_length"), "is not attention.key_length"));
    }
    let vocab_size = match keys.u32("vocab_size")? {
        Some(size) => size,
        None => u32::try_from(metadata.array("tokenizer.ggml.tokens")?.len()).unwrap_or(u32::MAX),
    };
    let context_tokens = keys.need("context_length")?;
    let experts = experts(&keys, &architecture)?;
    let feed_forward = match keys.u32("feed_forward_length")? {
        Some(width) => width,
        None => need(experts.map(|experts| experts.feed_forward), &keys.key("feed_forward_length"))?,
    };
    let ropes = ropes(&keys, &architecture, head_dim, context_tokens)?;
    let mut end_tokens = Vec::new();
    for name in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        end_tokens.extend(metadata.find_u32(&format!("tokenizer.ggml.{name}"))?);
    }
    Ok(ModelConfig {
        naming: Naming::Gguf,
        vocab_size,
        hidden,
        layers,
        heads,
        kv_heads: keys.u32("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        feed_forward,
        experts,
        norm_epsilon: metadata.f32(&keys.key("attention.layer_norm_rms_epsilon"))?,
        layer_kinds: layer_kinds(&keys, &architecture, layers, ropes.len())?,
        ropes,
        attention_bias: None,
        feed_forward_bias: None,
        scales: scales(&keys, &architecture, hidden, heads, layers, head_dim)?,
        context_tokens,
        causal: metadata.find_bool(&keys.key("attention.causal"))?.unwrap_or(true),
        gguf_pooling: keys.u32("pooling_type")?,
        tied_embedding: None,
        end_tokens,
        architecture,
    })
}

fn experts(keys: &Keys<'_>, architecture: &Architecture) -> Result<Option<ExpertConfig>> {
    if !architecture.experts {
        return match keys.u32("expert_count")? {
            None | Some(0) => Ok(None),
            Some(_) => Err(Error::config(keys.key("expert_count"), "is set, which is not supported here")),
        };
    }
    Ok(Some(ExpertConfig {
        count: keys.need("expert_count")?,
        used: keys.need("expert_used_count")?,
        feed_forward: match keys.u32("expert_feed_forward_length")? {
            Some(width) => width,
            None => keys.need("feed_forward_length")?,
        },
        renormalise: keys
            .metadata
            .find_bool(&keys.key("expert_weights_norm"))?
            .unwrap_or(architecture.gguf.renormalise),
    }))
}

fn scales(
    keys: &Keys<'_>,
    architecture: &Architecture,
    hidden: u32,
    heads: u32,
    layers: u32,
    head_dim: u32,
) -> Result<Scales> {
    let number = |name| keys.f64(name).map(|number| number.unwrap_or(1.0));
    let is_by_hidden = architecture.gguf.scores_by_hidden_at_layers == Some(layers);
    let queries = if is_by_hidden { f64::from(hidden) / f64::from(heads) } else { f64::from(head_dim) };
    let [attention_cap, logits_cap] = architecture.softcaps;
    let cap = |name, default| keys.f64(name).map(|cap| cap.map_or(default, |cap| cap as f32));
    let scaled = if architecture.scaled_embedding { f64::from(hidden).sqrt() } else { 1.0 };
    Ok(Scales {
        embedding: (scaled * number("embedding_scale")?) as f32,
        residual: number("residual_scale")? as f32,
        attention: keys.f64("attention.scale")?.unwrap_or(1.0 / queries.sqrt()) as f32,
        attention_softcap: cap("attn_logit_softcapping", attention_cap)?,
        logits: (1.0 / number("logit_scale")?) as f32,
        logits_softcap: cap("final_logit_softcapping", logits_cap)?,
    })
}

fn ropes(keys: &Keys<'_>, architecture: &Architecture, head_dim: u32, context_tokens: u32) -> Result<Vec<RopeConfig>> {
    let growth = keys.f64("rope.scaling.attn_factor")?.unwrap_or(1.0);
    let original = keys.u32("rope.scaling.original_context_length")?.map(f64::from);
    let kind_key = keys.key("rope.scaling.type");
    let factor = match keys.f64("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        // Its name in older files.
        None => keys.f64("rope.scale_linear")?,
    };
    // 0 and absence both mean 1.
    let factor = factor.filter(|factor| *factor != 0.0).unwrap_or(1.0);
    if !(factor >= 1.0 && factor.is_finite()) {
        return Err(Error::config(keys.key("rope.scaling.factor"), format!("is {factor}, but must be 1 or more")));
    }
    // The converter writes the original context of every Phi, and the growth only of those with factors.
    let is_stretched = original.is_some_and(|original| f64::from(context_tokens) > original)
        || keys.metadata.get(&keys.key("rope.scaling.attn_factor")).is_some();
    let has_factors = architecture.gguf.long_factors && is_stretched;
    let (scaling, attention_factor) = match keys.metadata.find_string(&kind_key)? {
        kind if kind == Some("longrope") || kind.is_none() && has_factors => {
            let original = original.unwrap_or(f64::from(context_tokens));
            // The factors themselves are tensors.
            (RopeScaling::Long { short: vec![], long: vec![], original }, growth)
        }
        Some("none") => (RopeScaling::None, growth),
        None | Some("linear") if factor == 1.0 => (RopeScaling::None, growth),
        // Without a word llama.cpp divides all frequencies by the factor.
        None | Some("linear") => (RopeScaling::Linear { factor }, growth),
        Some("yarn") => {
            let fast = keys.f64("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0);
            let slow = keys.f64("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0);
            let original = original.unwrap_or(f64::from(context_tokens));
            let growth = growth * yarn_attention_factor(factor, 1.0);
            (RopeScaling::Yarn { factor, fast, slow, original, truncate: true }, growth)
        }
        Some(other) => {
            let reason = format!("is {other:?}, but only none, linear, yarn and longrope are supported");
            return Err(Error::config(kind_key, reason));
        }
    };
    let rope = RopeConfig {
        theta: keys.f64("rope.freq_base")?.unwrap_or(architecture.rope_theta),
        rotary: keys.u32("rope.dimension_count")?.unwrap_or(head_dim),
        interleaved: architecture.gguf.rope_interleaved,
        scaling,
        attention_factor,
    };
    let mut ropes = vec![rope.clone()];
    let local = architecture.rope_theta_local.or(architecture.gguf.windows_unscaled.then_some(rope.theta));
    if let Some(theta) = local {
        let theta = keys.f64("rope.freq_base_swa")?.unwrap_or(theta);
        ropes.push(RopeConfig { theta, scaling: RopeScaling::None, attention_factor: 1.0, ..rope });
    }
    Ok(ropes)
}

fn layer_kinds(keys: &Keys<'_>, architecture: &Architecture, layers: u32, ropes: usize) -> Result<Vec<LayerConfig>> {
    let window = keys.u32("attention.sliding_window")?.unwrap_or(0);
    let pattern_key = keys.key("attention.sliding_window_pattern");
    let pattern = match keys.metadata.get(&pattern_key) {
        Some(GgufValue::Array(GgufArray::Bool(pattern))) => Some(pattern.as_slice()),
        _ => None,
    };
    let every = if pattern.is_none() { keys.metadata.find_u32(&pattern_key)? } else { None };
    if pattern.is_some_and(|pattern| pattern.len() != layers as usize) || every == Some(0) {
        return Err(Error::config(pattern_key, format!("does not fit {layers} layers")));
    }
    let kind = |layer: u32| {
        let has_rope = architecture.no_rope_every.is_none_or(|every| !(layer + 1).is_multiple_of(every));
        let by_rule = match architecture.gguf.windows {
            Windows::All => true,
            Windows::AllButEvery(known) => !(layer + 1).is_multiple_of(every.unwrap_or(known)),
            Windows::Never | Windows::Switched | Windows::Upper | Windows::WithoutRope => false,
        };
        let listed = pattern.and_then(|pattern| pattern.get(layer as usize)).copied();
        let is_local = window > 0 && listed.unwrap_or(by_rule);
        let rope = if is_local { ropes - 1 } else { 0 };
        LayerConfig { rope: has_rope.then_some(rope), window: if is_local { window } else { 0 } }
    };
    Ok((0..layers).map(kind).collect())
}
