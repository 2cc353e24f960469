//! A configuration as transformers writes it: config.json.

use super::{
    Architecture, ExpertConfig, LayerConfig, ModelConfig, Naming, RopeConfig, RopeScaling, Scales, Windows,
    config::check_layers,
    fields::{Fields, need},
    rope::yarn_attention_factor,
};
use crate::{Error, Result, file::QUANT_METHOD, kernel::Activation};

/// Flags that change the block in a way that this engine does not know; whoever sets them is refused.
const UNSUPPORTED: &[&str] = &["use_bidirectional_attention", "clip_qkv"];

/// Reads config.json and generation_config.json.
pub fn read(config: &str, generation: Option<&str>) -> Result<ModelConfig> {
    let hf = Fields::parse("config.json", config)?;
    let generation = generation.map(|text| Fields::parse("generation_config.json", text)).transpose()?;
    let architecture = Architecture::find_hf(hf.string("model_type")?.unwrap_or("(none)"))?;
    refuse_unsupported(&hf, &architecture)?;
    let hidden = need(hf.u32("hidden_size")?, "hidden_size")?;
    let heads = need(hf.u32("num_attention_heads")?, "num_attention_heads")?;
    let layers = need(hf.u32("num_hidden_layers")?, "num_hidden_layers")?;
    check_layers(layers)?;
    let head_dim = hf.u32("head_dim")?.or_else(|| hidden.checked_div(heads)).unwrap_or(0);
    let context_tokens = need(hf.u32("max_position_embeddings")?, "max_position_embeddings")?;
    let ropes = ropes(&hf, &architecture, head_dim, context_tokens)?;
    let mut end_tokens = match &generation {
        Some(generation) => generation.u32s("eos_token_id")?.unwrap_or_default(),
        None => vec![],
    };
    end_tokens.extend(hf.u32s("eos_token_id")?.unwrap_or_default());
    end_tokens.sort_unstable();
    end_tokens.dedup();
    Ok(ModelConfig {
        naming: Naming::HuggingFace,
        vocab_size: need(hf.u32("vocab_size")?, "vocab_size")?,
        hidden,
        layers,
        heads,
        kv_heads: hf.u32("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        feed_forward: need(hf.u32("intermediate_size")?, "intermediate_size")?,
        experts: experts(&hf, &architecture)?,
        norm_epsilon: need(hf.f64("rms_norm_eps")?, "rms_norm_eps")? as f32,
        layer_kinds: layer_kinds(&hf, &architecture, layers, ropes.len())?,
        ropes,
        attention_bias: Some(hf.bool("attention_bias")?.unwrap_or(false)),
        feed_forward_bias: Some(hf.bool("mlp_bias")?.unwrap_or(false)),
        scales: scales(&hf, &architecture, hidden, head_dim)?,
        context_tokens,
        causal: hf.bool("is_causal")?.unwrap_or(true),
        gguf_pooling: None,
        tied_embedding: hf.bool("tie_word_embeddings")?,
        end_tokens,
        architecture,
    })
}

fn refuse_unsupported(hf: &Fields, architecture: &Architecture) -> Result<()> {
    if let Some(field) = UNSUPPORTED.iter().find(|field| hf.is_set(field)) {
        return Err(Error::config(*field, "is set, which is not supported"));
    }
    // Of our own method the catalog has read everything.
    let is_ours = |own: &Fields| own.string("quant_method").is_ok_and(|method| method == Some(QUANT_METHOD));
    if hf.is_set("quantization_config") && !hf.object("quantization_config")?.as_ref().is_some_and(is_ours) {
        let reason = format!("is set, which is not supported but for the method {QUANT_METHOD:?}");
        return Err(Error::config("quantization_config", reason));
    }
    for field in ["hidden_activation", "hidden_act"] {
        let Some(activation) = hf.string(field)? else { continue };
        let known = match architecture.activation {
            Activation::Silu => ["silu", "swish"],
            Activation::GeluTanh => ["gelu_pytorch_tanh", "gelu_tanh"],
        };
        // Gemma was published with this word for the form with tanh.
        let is_legacy = field == "hidden_act" && activation == "gelu" && known[0] == "gelu_pytorch_tanh";
        if !known.contains(&activation) && !is_legacy {
            return Err(Error::config(field, format!("is {activation:?}, but only {:?} is supported", known[0])));
        }
        // Gemma's older files also have a `hidden_act`, which nobody reads.
        break;
    }
    Ok(())
}

fn experts(hf: &Fields, architecture: &Architecture) -> Result<Option<ExpertConfig>> {
    if !architecture.experts {
        return Ok(None);
    }
    if hf.u32("decoder_sparse_step")?.unwrap_or(1) != 1 {
        return Err(Error::config("decoder_sparse_step", "is not 1; layers without experts are not supported"));
    }
    if hf.u32s("mlp_only_layers")?.is_some_and(|layers| !layers.is_empty()) {
        return Err(Error::config("mlp_only_layers", "lists layers without experts, which is not supported"));
    }
    let count = match hf.u32("num_experts")? {
        Some(count) => Some(count),
        None => hf.u32("num_local_experts")?,
    };
    Ok(Some(ExpertConfig {
        count: need(count, "num_experts")?,
        used: need(hf.u32("num_experts_per_tok")?, "num_experts_per_tok")?,
        // Where all layers have experts, some configurations have one width only.
        feed_forward: match hf.u32("moe_intermediate_size")? {
            Some(width) => width,
            None => need(hf.u32("intermediate_size")?, "moe_intermediate_size")?,
        },
        renormalise: hf.bool("norm_topk_prob")?.unwrap_or(false),
    }))
}

fn scales(hf: &Fields, architecture: &Architecture, hidden: u32, head_dim: u32) -> Result<Scales> {
    let number = |field| hf.f64(field).map(|number| number.unwrap_or(1.0));
    let scaled = if architecture.scaled_embedding { f64::from(hidden).sqrt() } else { 1.0 };
    let queries = hf.f64("query_pre_attn_scalar")?.unwrap_or(f64::from(head_dim));
    let [attention_cap, logits_cap] = architecture.softcaps;
    let cap = |field, default: f32| {
        // null switches a cap off; only a field that is not there at all leaves it as it is known.
        let absent = if hf.has(field) { 0.0 } else { default };
        hf.f64(field).map(|cap| cap.map_or(absent, |cap| cap as f32))
    };
    Ok(Scales {
        embedding: (scaled * number("embedding_multiplier")?) as f32,
        residual: number("residual_multiplier")? as f32,
        attention: hf.f64("attention_multiplier")?.unwrap_or(1.0 / queries.sqrt()) as f32,
        attention_softcap: cap("attn_logit_softcapping", attention_cap)?,
        logits: (1.0 / number("logits_scaling")?) as f32,
        logits_softcap: cap("final_logit_softcapping", logits_cap)?,
    })
}

/// The ways in which positions turn: that of all layers, and that of layers with a window if it is another one.
fn ropes(hf: &Fields, architecture: &Architecture, head_dim: u32, context_tokens: u32) -> Result<Vec<RopeConfig>> {
    // `rope_scaling` before transformers 5, `rope_parameters` from then on; there it may hold one for each kind of layer.
    let own = match hf.object("rope_parameters")? {
        Some(own) => Some(own),
        None => hf.object("rope_scaling")?,
    };
    let (own, local) = match own {
        Some(both) if both.has("full_attention") || both.has("sliding_attention") => {
            (both.object("full_attention")?, both.object("sliding_attention")?)
        }
        own => (own, None),
    };
    let theta = hf.f64("rope_theta")?.unwrap_or(architecture.rope_theta);
    let mut ropes = vec![rope(hf, own.as_ref(), theta, head_dim, context_tokens)?];
    if let Some(theta) = architecture.rope_theta_local {
        let theta = hf.f64("rope_local_base_freq")?.unwrap_or(theta);
        ropes.push(rope(hf, local.as_ref(), theta, head_dim, context_tokens)?);
    }
    Ok(ropes)
}

fn rope(hf: &Fields, own: Option<&Fields>, theta: f64, head_dim: u32, context_tokens: u32) -> Result<RopeConfig> {
    let number = |field: &str| own.map_or(Ok(None), |own| own.f64(field));
    let either = |field: &str| number(field).and_then(|found| if found.is_some() { Ok(found) } else { hf.f64(field) });
    let kind = match own {
        Some(own) => own.string("rope_type")?.or(own.string("type")?),
        None => None,
    };
    let factor = || match number("factor")? {
        Some(factor) if factor >= 1.0 && factor.is_finite() => Ok(factor),
        Some(found) => Err(Error::config("rope_parameters.factor", format!("is {found}, but must be 1 or more"))),
        None => Err(Error::config("rope_parameters.factor", "is missing")),
    };
    let original = || Ok(either("original_max_position_embeddings")?.unwrap_or(f64::from(context_tokens)));
    let (scaling, attention_factor) = match kind {
        None | Some("default") => (RopeScaling::None, 1.0),
        Some("linear") => (RopeScaling::Linear { factor: factor()? }, 1.0),
        Some("llama3") => {
            let low = need(number("low_freq_factor")?, "rope_parameters.low_freq_factor")?;
            let high = need(number("high_freq_factor")?, "rope_parameters.high_freq_factor")?;
            if high <= low {
                return Err(Error::config("rope_parameters.high_freq_factor", "is not above low_freq_factor"));
            }
            (RopeScaling::Llama3 { factor: factor()?, low, high, original: original()? }, 1.0)
        }
        Some("yarn") => {
            let (factor, original) = (factor()?, original()?);
            let truncate = own.map_or(Ok(None), |own| own.bool("truncate"))?.unwrap_or(true);
            let fast = number("beta_fast")?.unwrap_or(32.0);
            let slow = number("beta_slow")?.unwrap_or(1.0);
            let growth = match (number("attention_factor")?, number("mscale")?, number("mscale_all_dim")?) {
                (Some(given), ..) => given,
                (None, Some(scale), Some(all)) if scale != 0.0 && all != 0.0 => {
                    yarn_attention_factor(factor, scale) / yarn_attention_factor(factor, all)
                }
                _ => yarn_attention_factor(factor, 1.0),
            };
            (RopeScaling::Yarn { factor, fast, slow, original, truncate }, growth)
        }
        Some("longrope" | "su") => {
            let original = original()?;
            let list = |field: &str| need(own.map_or(Ok(None), |own| own.f64s(field))?, field);
            let factor = number("factor")?.unwrap_or(f64::from(context_tokens) / original);
            let growth = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() };
            let growth = number("attention_factor")?.unwrap_or(growth);
            (RopeScaling::Long { short: list("short_factor")?, long: list("long_factor")?, original }, growth)
        }
        Some(other) => {
            let reason = format!("is {other:?}, but only default, linear, llama3, yarn and longrope are supported");
            return Err(Error::config("rope_parameters.rope_type", reason));
        }
    };
    let turning = either("partial_rotary_factor")?.unwrap_or(1.0);
    Ok(RopeConfig {
        theta: number("rope_theta")?.unwrap_or(theta),
        rotary: (f64::from(head_dim) * turning) as u32,
        interleaved: false,
        scaling,
        attention_factor,
    })
}

fn layer_kinds(hf: &Fields, architecture: &Architecture, layers: u32, ropes: usize) -> Result<Vec<LayerConfig>> {
    let listed = hf.strings("layer_types")?;
    let no_rope = no_rope(hf, architecture, layers)?;
    let window = hf.u32("sliding_window")?.unwrap_or(0);
    let upper = hf.u32("max_window_layers")?.unwrap_or(0);
    let is_switched_on = hf.bool("use_sliding_window")?.unwrap_or(false);
    let every = match hf.u32("sliding_window_pattern")? {
        Some(every) => Some(every),
        None => hf.u32("_sliding_window_pattern")?,
    };
    let by_rule = |layer: u32, has_rope: bool| match architecture.windows {
        Windows::Never => false,
        Windows::All => true,
        Windows::Switched => is_switched_on,
        Windows::Upper => is_switched_on && layer >= upper,
        Windows::WithoutRope => is_switched_on && !has_rope,
        Windows::AllButEvery(known) => !(layer + 1).is_multiple_of(every.unwrap_or(known)),
    };
    if listed.as_ref().is_some_and(|listed| listed.len() != layers as usize) || no_rope.len() != layers as usize {
        return Err(Error::config("layer_types or no_rope_layers", format!("does not list {layers} layers")));
    }
    (0..layers)
        .zip(no_rope)
        .map(|(layer, no_rope)| {
            let is_local = match listed.as_ref().and_then(|listed| listed.get(layer as usize)) {
                None => by_rule(layer, !no_rope) && window > 0,
                Some(&"full_attention") => false,
                Some(&"sliding_attention") if window > 0 => true,
                Some(&"sliding_attention") => return Err(Error::config("sliding_window", "is missing")),
                Some(other) => return Err(Error::config("layer_types", format!("has {other:?}, which is not known"))),
            };
            let rope = if is_local { ropes - 1 } else { 0 };
            Ok(LayerConfig { rope: (!no_rope).then_some(rope), window: if is_local { window } else { 0 } })
        })
        .collect()
}

/// Which layers have no rope.
fn no_rope(hf: &Fields, architecture: &Architecture, layers: u32) -> Result<Vec<bool>> {
    let Some(every) = architecture.no_rope_every else { return Ok(vec![false; layers as usize]) };
    // The list says which layers have one.
    if let Some(listed) = hf.u32s("no_rope_layers")? {
        return Ok(listed.into_iter().map(|has_rope| has_rope == 0).collect());
    }
    let every = hf.u32("no_rope_layer_interval")?.unwrap_or(every);
    Ok((1..=layers).map(|layer| layer.is_multiple_of(every)).collect())
}
