//! A model on a device, and the conversation in its cache.

use crate::{
    Error, Result,
    device::{Device, UPLOAD_ROWS},
    file::{Catalog, OpenedModel, TensorInfo},
    kernel::Step,
    model::{Model, ModelConfig, PlanIndex, StateInit},
    quant,
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
        let model = Model::record(config, catalog, options.context_tokens, options.scoring)?;
        device.prepare(&model.program).await?;
        let mut done = LoadProgress { done_bytes: 0, total_bytes: wanted_bytes(&model, catalog) };
        progress(done)?;
        for (id, name) in &model.weights {
            let tensor = catalog.tensor(name)?;
            for rows in pieces(tensor) {
                let bytes = catalog.read_rows(tensor, rows.clone()).await?;
                device.upload(*id, rows, &bytes)?;
                done.done_bytes += bytes.len() as u64;
                progress(done)?;
            }
        }
        for (id, init) in &model.states {
            match init {
                StateInit::Values(values) => device.write(*id, 0, values)?,
                StateInit::Tensor { name } => {
                    let tensor = catalog.tensor(name)?;
                    let bytes = catalog.read_rows(tensor, 0..1).await?;
                    let mut values = vec![0.0; tensor.columns() as usize];
                    quant::decode_row(tensor.format, &bytes, &mut values);
                    device.write(*id, 0, &values)?;
                    done.done_bytes += bytes.len() as u64;
                }
            }
        }
        progress(done)?;
        Ok(Self { device, model, cached: Vec::new() })
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

    /// Whether every position's logits can be asked for.
    pub fn can_score(&self) -> bool {
        self.model.program.plans.len() > PlanIndex::Score as usize
    }

    /// Forgets the conversation.
    pub fn clear(&mut self) {
        self.cached.clear();
    }

    /// Runs a batch behind what is in the cache. The tokens must be of the vocabulary and fit the context.
    pub(super) fn step(&mut self, plan: PlanIndex, ids: &[u32]) -> Result<()> {
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
        self.device.run(plan as usize, step, ids)?;
        self.cached = before;
        self.cached.extend_from_slice(ids);
        Ok(())
    }

    /// Logits of the last `rows` rows that a plan computed: (rows, vocabulary).
    pub(super) async fn read_logits(&mut self, rows: usize) -> Result<Vec<f32>> {
        let count = rows as u64 * u64::from(self.model.config.vocab_size);
        self.device.read(self.model.logits, 0..count).await
    }
}

/// Bytes that the recorded model takes from the files.
fn wanted_bytes(model: &Model, catalog: &Catalog) -> u64 {
    let weights = model.weights.iter().map(|(_, name)| name);
    let vectors = model.states.iter().filter_map(|(_, init)| match init {
        StateInit::Tensor { name } => Some(name),
        StateInit::Values(_) => None,
    });
    weights.chain(vectors).filter_map(|name| catalog.tensors.get(name)).map(|tensor| tensor.len_bytes).sum()
}

/// Whole rows, a multiple of [`UPLOAD_ROWS`] of them, of about [`PIECE_BYTES`].
pub(super) fn pieces(tensor: &TensorInfo) -> impl Iterator<Item = std::ops::Range<u64>> {
    let rows = tensor.rows();
    let step = (PIECE_BYTES / tensor.row_bytes().max(1)).max(UPLOAD_ROWS) / UPLOAD_ROWS * UPLOAD_ROWS;
    (0..rows.div_ceil(step)).map(move |piece| piece * step..(piece * step + step).min(rows))
}
