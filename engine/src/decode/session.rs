//! A model on a device, and the conversation in its cache.

use super::{
    Choosing, StreamCounts,
    load::{Cargo, LoadProgress},
    stream::{Stop, Stream},
};
use crate::{
    Error, Result,
    device::{Device, Fetch, Ids, Work},
    file::OpenedModel,
    kernel::Step,
    memory,
    model::{Model, ModelConfig, PlanIndex, Recording},
    plan::Placement,
    tensor::{KvFormat, TensorId},
};

/// How to load a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Tokens of context to make room for.
    pub context_tokens: u32,
    /// Whether the logits of every position can be asked for.
    pub scoring: bool,
    /// How keys and values are cached.
    pub kv_cache: KvFormat,
}

/// A model that is ready, with the tokens whose keys and values it still remembers.
pub struct Session {
    pub(super) device: Device,
    pub(super) model: Model,
    /// Tokens in the cache, from position 0 on.
    pub(super) cached: Vec<u32>,
    pub(super) choosing: Choosing,
    /// Brings what is not on the device for good.
    stream: Option<Stream>,
}

impl Session {
    /// Puts a model on a device. `progress` is called after every piece; its error stops the loading.
    pub async fn load(
        device: Device,
        opened: &OpenedModel,
        options: SessionOptions,
        progress: &mut dyn FnMut(LoadProgress) -> Result<()>,
    ) -> Result<Self> {
        Self::load_within(device, opened, options, None, progress).await
    }

    /// The same, with no more than so many bytes of weights on the device at a time. What is beyond them is read anew for
    /// each step. A device that refuses its memory is asked for less.
    pub async fn load_within(
        mut device: Device,
        opened: &OpenedModel,
        options: SessionOptions,
        weights_bytes_max: Option<u64>,
        progress: &mut dyn FnMut(LoadProgress) -> Result<()>,
    ) -> Result<Self> {
        let config = ModelConfig::read(&opened.documents)?;
        let catalog = &opened.catalog;
        let SessionOptions { context_tokens, scoring, kv_cache } = options;
        let batch_tokens = device.prefill_tokens();
        let model = Model::record_as(config, catalog, Recording { context_tokens, scoring, batch_tokens, kv_cache })?;
        let placement = prepare(&mut device, &model, weights_bytes_max).await?;
        let weights = model.weights.iter().filter(|load| placement.unit_of(load.id).is_none()).cloned();
        let (weights, states) = (weights.collect::<Vec<_>>(), &model.states);
        let cargo = Cargo { catalog, weights: &weights, states, context_tokens: options.context_tokens };
        cargo.load(&mut device, progress).await?;
        let choosing = Choosing::of(&device);
        let stream = match placement.streams() {
            true => Some(Stream::new(placement, &model.program, catalog, &model.weights)?),
            false => None,
        };
        Ok(Self { device, model, cached: Vec::new(), choosing, stream })
    }

    /// Where the weights are kept; None if all of them stay.
    pub fn placement(&self) -> Option<&Placement> {
        self.stream.as_ref().map(Stream::placement)
    }

    /// What has been read of weights that come and go.
    pub fn stream_counts(&self) -> StreamCounts {
        self.stream.as_ref().map(Stream::counts).unwrap_or_default()
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.model.config
    }

    /// The recorded plans.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Tokens of context that there is room for.
    pub fn context_tokens(&self) -> u32 {
        self.model.context_tokens
    }

    /// Tokens of a prompt that are read at once, at most.
    pub fn prefill_tokens(&self) -> u32 {
        self.model.program.plans[PlanIndex::Prefill as usize].tokens_max
    }

    /// Whether every position's logits can be asked for.
    pub fn can_score(&self) -> bool {
        self.model.program.plans.len() > PlanIndex::Score as usize
    }

    /// Says what may be left to the device. The tokens stay the same.
    pub fn set_choosing(&mut self, choosing: Choosing) {
        self.choosing = choosing;
    }

    /// Forgets the conversation.
    pub fn clear(&mut self) {
        self.cached.clear();
    }

    /// Runs a batch behind what is in the cache. The tokens must be of the vocabulary and fit the context.
    pub(super) async fn step(&mut self, plan: PlanIndex, ids: &[u32], stop: Stop<'_>) -> Result<()> {
        self.step_with(plan, ids, None, stop).await.map(|_| ())
    }

    /// The same, with a plan that follows in the same submission, and a tensor to read then.
    pub(super) async fn step_with(
        &mut self,
        plan: PlanIndex,
        ids: &[u32],
        tail: Option<(PlanIndex, TensorId)>,
        stop: Stop<'_>,
    ) -> Result<Option<Fetch>> {
        let position = self.cached.len();
        if position + ids.len() > self.model.context_tokens as usize {
            return Err(Error::PromptTooLong {
                prompt_tokens: position + ids.len(),
                context_tokens: self.model.context_tokens as usize,
            });
        }
        if let Some(id) = ids.iter().find(|id| **id >= self.model.config.vocab_size) {
            let reason = format!("made token {id}, but the model knows {}", self.model.config.vocab_size);
            return Err(Error::Tokenizer { reason });
        }
        let step = Step { position: position as u32, tokens: ids.len() as u32 };
        let plans: Vec<usize> =
            [plan].into_iter().chain(tail.map(|(tail, _)| tail)).map(|plan| plan as usize).collect();
        let fetch = tail.map(|(_, id)| (id, 0..self.model.program.tensor(id).elements()));
        let fetched = self.submit(&Work { plans: &plans, step, ids: Ids::Given(ids), fetch }, stop).await?;
        self.cached.extend_from_slice(ids);
        Ok(fetched)
    }

    /// Runs plans, all at once or piece by piece.
    pub(super) async fn submit(&mut self, work: &Work<'_>, stop: Stop<'_>) -> Result<Option<Fetch>> {
        // If the device fails in mid-step, nothing that it wrote is trusted.
        let before = std::mem::take(&mut self.cached);
        let result = match &mut self.stream {
            Some(stream) => stream.submit(&mut self.device, work, stop).await,
            None => self.device.submit(work),
        };
        // A step writes behind what is cached, so one that was stopped, or whose weights could not be read, can begin anew.
        if !matches!(result, Err(Error::DeviceFault { .. } | Error::DeviceLost { .. })) {
            self.cached = before;
        }
        result
    }

    /// Logits of the last `rows` rows that a plan computed: (rows, vocabulary).
    pub(super) async fn read_logits(&mut self, rows: usize) -> Result<Vec<f32>> {
        let count = rows as u64 * u64::from(self.model.config.vocab_size);
        self.device.read(self.model.logits, 0..count).await
    }
}

/// How much less a device that has refused is asked for.
const STEP_DOWN: (u64, u64) = (3, 4);

/// Allocates everything, with less weights at a time if the device has not so much memory.
async fn prepare(device: &mut Device, model: &Model, weights_bytes_max: Option<u64>) -> Result<Placement> {
    let mut budget_bytes = weights_bytes_max.unwrap_or(u64::MAX);
    loop {
        let units = device.units(&model.program);
        let all_bytes = units.iter().fold(0_u64, |sum, (unit, _)| sum.saturating_add(unit.bytes));
        let placement = memory::place(units, budget_bytes)?;
        let refusal = match device.prepare_placed(&model.program, &placement).await {
            Ok(()) => return Ok(placement),
            Err(refusal @ Error::OutOfMemory { .. }) => refusal,
            Err(error) => return Err(error),
        };
        let (part, whole) = STEP_DOWN;
        budget_bytes = budget_bytes.min(all_bytes) / whole * part;
        // What is beside the weights may be what does not fit; then no fewer of them help.
        let units = device.units(&model.program);
        if memory::place(units, budget_bytes).is_err() {
            return Err(refusal);
        }
        tracing::warn!(%refusal, budget_bytes, "fewer weights stay on the device");
    }
}
