//! A model on a device, and the conversation in its cache.

use super::{
    Choosing,
    load::{Cargo, LoadProgress},
};
use crate::{
    Error, Result,
    device::{Device, Fetch, Ids, Work},
    file::OpenedModel,
    kernel::Step,
    model::{Model, ModelConfig, PlanIndex, Recording},
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
}

impl Session {
    /// Puts a model on a device. `progress` is called after every piece; its error stops the loading.
    pub async fn load(
        mut device: Device,
        opened: &OpenedModel,
        options: SessionOptions,
        progress: &mut dyn FnMut(LoadProgress) -> Result<()>,
    ) -> Result<Self> {
        let config = ModelConfig::read(&opened.documents)?;
        let catalog = &opened.catalog;
        let SessionOptions { context_tokens, scoring, kv_cache } = options;
        let batch_tokens = device.prefill_tokens();
        let model = Model::record_as(config, catalog, Recording { context_tokens, scoring, batch_tokens, kv_cache })?;
        device.prepare(&model.program).await?;
        let (weights, states) = (&model.weights, &model.states);
        Cargo { catalog, weights, states, context_tokens: options.context_tokens }.load(&mut device, progress).await?;
        let choosing = Choosing::of(&device);
        Ok(Self { device, model, cached: Vec::new(), choosing })
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
    pub(super) fn step(&mut self, plan: PlanIndex, ids: &[u32]) -> Result<()> {
        self.step_with(plan, ids, None).map(|_| ())
    }

    /// The same, with a plan that follows in the same submission, and a tensor to read then.
    pub(super) fn step_with(
        &mut self,
        plan: PlanIndex,
        ids: &[u32],
        tail: Option<(PlanIndex, TensorId)>,
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
        // If the device fails in mid-step, nothing that it wrote is trusted.
        let before = std::mem::take(&mut self.cached);
        let plans: Vec<usize> =
            [plan].into_iter().chain(tail.map(|(tail, _)| tail)).map(|plan| plan as usize).collect();
        let fetch = tail.map(|(_, id)| (id, 0..self.model.program.tensor(id).elements()));
        let fetched = self.device.submit(&Work { plans: &plans, step, ids: Ids::Given(ids), fetch })?;
        self.cached = before;
        self.cached.extend_from_slice(ids);
        Ok(fetched)
    }

    /// Logits of the last `rows` rows that a plan computed: (rows, vocabulary).
    pub(super) async fn read_logits(&mut self, rows: usize) -> Result<Vec<f32>> {
        let count = rows as u64 * u64::from(self.model.config.vocab_size);
        self.device.read(self.model.logits, 0..count).await
    }
}
