//! A model on a device, and the conversation in its cache.

use std::ops::Range;

use super::Choosing;
use crate::{
    Error, Result,
    device::{Device, Fetch, Ids, UPLOAD_ROWS, Work},
    file::{Catalog, OpenedModel, TensorInfo},
    kernel::Step,
    model::{Model, ModelConfig, PlanIndex, StateInit},
    quant,
    tensor::TensorId,
};

/// Weights travel in pieces of about this size, so that no file is ever whole in memory on its way to a device.
const PIECE_BYTES: u64 = 4 << 20;

/// How to load a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Tokens of context to make room for.
    pub context_tokens: u32,
    /// Whether the logits of every position can be asked for.
    pub scoring: bool,
}

/// How far the loading is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Bytes of weights on the device.
    pub done_bytes: u64,
    /// Bytes of weights in all.
    pub total_bytes: u64,
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
        let SessionOptions { context_tokens, scoring } = options;
        let model = Model::record_batches(config, catalog, context_tokens, scoring, device.prefill_tokens())?;
        device.prepare(&model.program).await?;
        let mut done = LoadProgress { done_bytes: 0, total_bytes: wanted_bytes(&model, catalog) };
        progress(done)?;
        for load in &model.weights {
            for component in &load.components {
                let tensor = catalog.tensor(&component.name)?;
                for rows in pieces_of(component.rows.clone(), tensor.row_bytes()) {
                    let bytes = catalog.read_rows(tensor, rows.clone()).await?;
                    let first = component.first_row + rows.start - component.rows.start;
                    device.upload(load.id, first..first + rows.end - rows.start, &bytes)?;
                    done.done_bytes += bytes.len() as u64;
                    progress(done)?;
                }
            }
        }
        for (id, init) in &model.states {
            let stored = match init.tensor() {
                Some(name) => Some(read_vector(catalog, name, &mut done).await?),
                None => None,
            };
            let values = match init {
                StateInit::RopeTable { rope, .. } => rope.table(options.context_tokens, stored.as_deref())?,
                StateInit::Tensor { add_one, .. } => {
                    let mut values = stored.unwrap_or_default();
                    values.iter_mut().filter(|_| *add_one).for_each(|value| *value += 1.0);
                    values
                }
            };
            device.write(*id, 0, &values)?;
        }
        progress(done)?;
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

/// A vector of the catalog, decoded.
async fn read_vector(catalog: &Catalog, name: &str, done: &mut LoadProgress) -> Result<Vec<f32>> {
    let tensor = catalog.tensor(name)?;
    let bytes = catalog.read_rows(tensor, 0..1).await?;
    let mut values = vec![0.0; tensor.columns() as usize];
    quant::decode_row(tensor.format, &bytes, &mut values);
    done.done_bytes += bytes.len() as u64;
    Ok(values)
}

/// Bytes that the recorded model takes from the files.
fn wanted_bytes(model: &Model, catalog: &Catalog) -> u64 {
    let row_bytes = |name: &str| catalog.tensors.get(name).map_or(0, TensorInfo::row_bytes);
    let components = model.weights.iter().flat_map(|load| &load.components);
    let weights = components.map(|part| (part.rows.end - part.rows.start) * row_bytes(&part.name));
    weights.chain(model.states.iter().filter_map(|(_, init)| init.tensor()).map(row_bytes)).sum()
}

/// All rows of a tensor, in pieces.
pub(super) fn pieces(tensor: &TensorInfo) -> impl Iterator<Item = Range<u64>> {
    pieces_of(0..tensor.rows(), tensor.row_bytes())
}

/// Whole rows, a multiple of [`UPLOAD_ROWS`] of them, of about [`PIECE_BYTES`].
fn pieces_of(rows: Range<u64>, row_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let step = (PIECE_BYTES / row_bytes.max(1)).max(UPLOAD_ROWS) / UPLOAD_ROWS * UPLOAD_ROWS;
    (rows.start..rows.end).step_by(step as usize).map(move |first| first..(first + step).min(rows.end))
}
