//! How much memory a model needs, and how much context fits. Both follow from the recorded program, which needs no more
//! of a model than its headers, so they stay right whatever the architecture is.

mod budget;
mod encoder;
mod recipes;
mod residency;
mod ring;

pub use budget::{Fitted, components, placed_plan, streaming_words};
pub use encoder::admit_encoder;
pub use recipes::Recipes;
pub use residency::place;
pub use ring::Ring;

use std::collections::{BTreeMap, HashSet};

use crate::{
    Error, Result,
    device::cpu::activation_bytes,
    error::human_bytes,
    file::Catalog,
    model::{EmbedderConfig, Model, ModelConfig, PREFILL_TOKENS_MAX, Recording, SentenceConfig},
    plan::{Program, Slots, TensorKind},
    protocol::MemoryPlan,
    tensor::{KvFormat, TensorId},
};

/// Without a wish from the person, no more context than this is made room for: few conversations need more, and the
/// caches of a model made for 128,000 tokens would fill most machines.
const DEFAULT_CONTEXT_MAX: u32 = 8192;

/// Less context than this is of no use to a conversation.
const CONTEXT_MIN: u32 = 256;

/// Up to this length of context a program is recorded to know what it needs. Beyond it the last stretch is drawn out:
/// a record computes a table with a row for each position, and a file may claim millions of them. Memory grows at most
/// as fast as it did before, since windows only ever end its growth, so this never promises too much.
const RECORDED_TOKENS_MAX: u32 = 32_768;

/// How often the search for the longest context may look before it takes the best that it has seen.
const LOOKS_MAX: u32 = 24;

/// What one model needs at any length of context.
pub struct Planner<'a> {
    subject: Subject<'a>,
    catalog: &'a Catalog,
    /// Tokens of a prompt that the device is given at once.
    batch_tokens: u32,
    /// How keys and values are cached.
    kv_cache: KvFormat,
    /// Whether the device rounds activations on their way into products, as a CPU does.
    rounds_activations: bool,
    known: BTreeMap<u32, MemoryPlan>,
}

/// Whose program is recorded.
enum Subject<'a> {
    Decoder { config: &'a ModelConfig, scoring: bool },
    Embedder { config: &'a EmbedderConfig, sentence: &'a SentenceConfig },
}

impl<'a> Planner<'a> {
    /// For a model whose headers have been read. `scoring` counts the logits of a whole batch.
    pub fn new(config: &'a ModelConfig, catalog: &'a Catalog, scoring: bool) -> Self {
        Self {
            subject: Subject::Decoder { config, scoring },
            catalog,
            batch_tokens: PREFILL_TOKENS_MAX,
            kv_cache: KvFormat::default(),
            rounds_activations: true,
            known: BTreeMap::new(),
        }
    }

    /// For a model that makes vectors, whose context is the longest text that it reads.
    pub fn of_embedder(config: &'a EmbedderConfig, sentence: &'a SentenceConfig, catalog: &'a Catalog) -> Self {
        Self {
            subject: Subject::Embedder { config, sentence },
            catalog,
            batch_tokens: PREFILL_TOKENS_MAX,
            kv_cache: KvFormat::default(),
            rounds_activations: true,
            known: BTreeMap::new(),
        }
    }

    /// For a device that is given so many tokens of a prompt at once. Otherwise it is the most that any device is given,
    /// so that what fits on one fits on all.
    pub fn with_batches(self, batch_tokens: u32) -> Self {
        Self { batch_tokens, ..self }
    }

    /// With keys and values cached so.
    pub fn with_kv_cache(self, kv_cache: KvFormat) -> Self {
        Self { kv_cache, ..self }
    }

    /// For a GPU, which keeps no activations of eight bits. Otherwise they are counted: they are small.
    pub fn on_gpu(self, is_gpu: bool) -> Self {
        Self { rounds_activations: !is_gpu, ..self }
    }

    /// Tokens that the model was made for.
    pub fn made_for(&self) -> u32 {
        match &self.subject {
            Subject::Decoder { config, .. } => config.context_tokens,
            Subject::Embedder { config, .. } => config.positions(),
        }
    }

    /// What the model needs with so many tokens of context.
    pub fn plan(&mut self, context_tokens: u32) -> Result<MemoryPlan> {
        if let Some(known) = self.known.get(&context_tokens) {
            return Ok(*known);
        }
        let plan = if context_tokens <= RECORDED_TOKENS_MAX {
            self.record(context_tokens)?
        } else {
            let half = self.plan(RECORDED_TOKENS_MAX / 2)?;
            let whole = self.plan(RECORDED_TOKENS_MAX)?;
            draw_out(&half, &whole, context_tokens)
        };
        self.known.insert(context_tokens, plan);
        Ok(plan)
    }

    fn record(&self, context_tokens: u32) -> Result<MemoryPlan> {
        Ok(match self.subject {
            Subject::Decoder { config, scoring } => {
                let Self { batch_tokens, kv_cache, .. } = *self;
                let wishes = Recording { context_tokens, scoring, batch_tokens, kv_cache };
                let model = Model::record_as(config.clone(), self.catalog, wishes)?;
                let beside_bytes = if self.rounds_activations { activation_bytes(&model.program) } else { 0 };
                measure_decoder(&model, beside_bytes)
            }
            Subject::Embedder { config, .. } => encoder::measure_encoder(&config.record(self.catalog, context_tokens)?),
        })
    }

    /// The most context, up to what the model was made for, with which no more than so many bytes are needed; `None`
    /// if there is none that is of use.
    pub fn context_that_fits(&mut self, available_bytes: u64) -> Result<Option<u32>> {
        let (mut low, mut high) = (CONTEXT_MIN.min(self.made_for()), self.made_for());
        if self.plan(low)?.total_bytes > available_bytes {
            return Ok(None);
        }
        if self.plan(high)?.total_bytes <= available_bytes {
            return Ok(Some(high));
        }
        for look in 0..LOOKS_MAX {
            if high - low <= 1 {
                break;
            }
            // What is needed is nearly a straight line, so a chord finds the place in a few steps; every other look
            // halves what is left, in case it is not.
            let middle = low + (high - low) / 2;
            let guess = if look % 2 == 0 { self.on_chord(low, high, available_bytes)? } else { middle };
            if self.plan(guess)?.total_bytes <= available_bytes {
                low = guess;
            } else {
                high = guess;
            }
        }
        Ok(Some(low))
    }

    /// Where the straight line between two lengths passes the budget, strictly between them.
    fn on_chord(&mut self, low: u32, high: u32, available_bytes: u64) -> Result<u32> {
        let (at_low, at_high) = (self.plan(low)?.total_bytes, self.plan(high)?.total_bytes);
        let part = u128::from(available_bytes.saturating_sub(at_low)) * u128::from(high - low);
        let steps = part / u128::from(at_high.saturating_sub(at_low).max(1));
        let guess = u128::from(low) + steps;
        Ok(u32::try_from(guess).unwrap_or(high).clamp(low + 1, high - 1))
    }

    /// How many tokens of context to make room for: a wish as it is, or otherwise what is usual and fits.
    /// `available_bytes` is 0 if the platform does not tell.
    pub fn choose_context(&mut self, wanted: Option<u32>, available_bytes: u64) -> Result<u32> {
        let made_for = self.made_for();
        if let Subject::Embedder { config, sentence } = self.subject {
            return sentence.plan_tokens(config, wanted);
        }
        if let Some(wanted) = wanted {
            if wanted == 0 || wanted > made_for {
                let reason = format!("is {wanted}, but the model was made for 1 to {made_for}");
                return Err(Error::invalid("context_tokens", reason));
            }
            return Ok(wanted);
        }
        let mut context = made_for.min(DEFAULT_CONTEXT_MAX);
        while available_bytes > 0 && context / 2 >= CONTEXT_MIN && self.plan(context)?.total_bytes > available_bytes {
            context /= 2;
        }
        Ok(context)
    }
}

/// How many tokens of context to make room for on a device that is given so many tokens of a prompt at once, if that fits.
/// `available_bytes` is 0 if the platform does not tell.
pub fn plan_context(
    batch_tokens: u32,
    config: &ModelConfig,
    catalog: &Catalog,
    scoring: bool,
    kv_cache: KvFormat,
    wanted: Option<u32>,
    available_bytes: u64,
) -> Result<u32> {
    let mut planner = Planner::new(config, catalog, scoring).with_batches(batch_tokens).with_kv_cache(kv_cache);
    let context = planner.choose_context(wanted, available_bytes)?;
    if available_bytes == 0 {
        return Ok(context);
    }
    let MemoryPlan { weights_bytes, total_bytes, .. } = planner.plan(context)?;
    if total_bytes <= available_bytes {
        return Ok(context);
    }
    let weights = human_bytes(weights_bytes);
    let what = match planner.context_that_fits(available_bytes)? {
        Some(fitting) => {
            format!("the model with {context} tokens of context ({fitting} would fit; the weights take {weights})")
        }
        None => format!("the model with {context} tokens of context (the weights alone take {weights})"),
    };
    Err(Error::OutOfMemory { what, requested_bytes: total_bytes, available_bytes })
}

/// What a recorded decoder takes, with so many bytes of scratch beside the slots.
fn measure_decoder(model: &Model, scratch_bytes: u64) -> MemoryPlan {
    // What the next token is chosen with is filled anew by each step.
    let chosen_with = [model.peaks, model.choice, model.shortlist];
    let filled = model.states.iter().map(|(id, _)| *id).chain(chosen_with).collect();
    let plan = measure(&model.program, model.context_tokens, &filled, model.logits, 0);
    complete(MemoryPlan { scratch_bytes: plan.scratch_bytes + scratch_bytes, ..plan })
}

/// What a recorded program takes. Weights stay as they are stored on a CPU, and take as many bytes repacked for a GPU,
/// but for a few bytes of padding.
fn measure(
    program: &Program,
    context_tokens: u32,
    filled: &HashSet<TensorId>,
    result: TensorId,
    beside_bytes: u64,
) -> MemoryPlan {
    let slots = Slots::assign(program);
    let mut plan = MemoryPlan {
        context_tokens,
        scratch_bytes: slots.bytes(),
        largest_buffer_bytes: slots.slots.iter().map(|slot| slot.elements * 4).max().unwrap_or(0),
        ..MemoryPlan::default()
    };
    for (index, tensor) in program.tensors.iter().enumerate() {
        let id = TensorId(index as u32);
        match tensor.kind {
            TensorKind::Weight(_) => plan.weights_bytes += tensor.bytes(),
            TensorKind::Scratch => {}
            // What begins empty and is not the result is there to remember: a cache.
            TensorKind::State if !filled.contains(&id) && id != result => plan.cache_bytes += tensor.bytes(),
            _ => plan.other_bytes += tensor.bytes(),
        }
        if !matches!(tensor.kind, TensorKind::Weight(_) | TensorKind::Scratch) {
            plan.largest_buffer_bytes = plan.largest_buffer_bytes.max(tensor.bytes());
        }
    }
    // The result is copied to be read.
    plan.other_bytes += beside_bytes + program.tensor(result).bytes();
    complete(plan)
}

/// Sums up.
fn complete(plan: MemoryPlan) -> MemoryPlan {
    let parts = [plan.weights_bytes, plan.cache_bytes, plan.scratch_bytes, plan.other_bytes];
    MemoryPlan {
        total_bytes: parts.into_iter().fold(0, u64::saturating_add),
        cache_bytes_per_token: plan.cache_bytes / u64::from(plan.context_tokens.max(1)),
        ..plan
    }
}

/// The plan for a longer context, on the straight line through two shorter ones.
fn draw_out(half: &MemoryPlan, whole: &MemoryPlan, context_tokens: u32) -> MemoryPlan {
    let steps = u128::from(context_tokens - whole.context_tokens);
    let span = u128::from((whole.context_tokens - half.context_tokens).max(1));
    let line = |part: fn(&MemoryPlan) -> u64| {
        let (from, to) = (part(half), part(whole));
        let growth = (u128::from(to.saturating_sub(from)) * steps).div_ceil(span);
        to.saturating_add(u64::try_from(growth).unwrap_or(u64::MAX))
    };
    complete(MemoryPlan {
        context_tokens,
        weights_bytes: whole.weights_bytes,
        cache_bytes: line(|plan| plan.cache_bytes),
        scratch_bytes: line(|plan| plan.scratch_bytes),
        other_bytes: line(|plan| plan.other_bytes),
        largest_buffer_bytes: line(|plan| plan.largest_buffer_bytes),
        ..MemoryPlan::default()
    })
}
