//! Records a decoder's plans: the block, written once. What differs between architectures is read from
//! [`super::Architecture`] and [`ModelConfig`].

mod attention;
mod choices;
mod experts;
mod feed_forward;
mod rotations;
mod vectors;

pub use choices::{SHORTLIST_TOKENS_MAX, SHORTLIST_TOKENS_MIN};

use rotations::Rotations;

use super::{ModelConfig, Norms, Role, StateInit, WeightLoad, weights::Weights};
use crate::{
    Error, Result,
    file::Catalog,
    kernel::{
        AddBias, AddScaled, Embed, KvLayout, LastRow, Matmul, Matvec, RmsNorm, Scale,
        shader::{add_bias, add_scaled, last_row, rms_norm, scale},
    },
    plan::{Command, Plan, Program, TensorKind},
    tensor::{KvFormat, TensorId},
};

/// The largest batch of a prefill. A GPU reads all weights once for it, and is busy for some tens of milliseconds.
pub const PREFILL_TOKENS_MAX: u32 = 512;

/// The largest batch whose logits are all wanted: each row is as wide as the vocabulary.
const SCORE_TOKENS_MAX: u32 = 32;

/// Where each plan stands in [`Program::plans`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanIndex {
    /// One token; logits of it.
    Decode = 0,
    /// A batch; logits of its last token.
    Prefill = 1,
    /// The likeliest token becomes that of the next step.
    Choose = 2,
    /// The likeliest tokens into a short list.
    Shortlist = 3,
    /// A batch; logits of every token. Only recorded on request.
    Score = 4,
}

/// How a model is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Tokens of context that there is room for.
    pub context_tokens: u32,
    /// Whether there is [`PlanIndex::Score`].
    pub scoring: bool,
    /// The most tokens of a batch in a prefill.
    pub batch_tokens: u32,
    /// How keys and values are cached.
    pub kv_cache: KvFormat,
}

/// A recorded model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its shape.
    pub config: ModelConfig,
    /// Its tensors and plans.
    pub program: Program,
    /// Tokens of context that the caches hold.
    pub context_tokens: u32,
    /// Matrices to upload as they are.
    pub weights: Vec<WeightLoad>,
    /// States to fill.
    pub states: Vec<(TensorId, StateInit)>,
    /// (1 or SCORE_TOKENS_MAX, vocabulary).
    pub logits: TensorId,
    /// (2): the token that [`PlanIndex::Choose`] chose, and 1 if its logit is no number.
    pub choice: TensorId,
    /// What [`PlanIndex::Shortlist`] found: see [`crate::kernel::Shortlist`].
    pub shortlist: TensorId,
    /// What both of them look at.
    pub peaks: TensorId,
}

impl Model {
    /// Records the plans of a model for a context of so many tokens, with keys and values in F32. `scoring` adds
    /// [`PlanIndex::Score`].
    pub fn record(config: ModelConfig, catalog: &Catalog, context_tokens: u32, scoring: bool) -> Result<Self> {
        Self::record_batches(config, catalog, context_tokens, scoring, PREFILL_TOKENS_MAX)
    }

    /// The same, with batches of no more than so many tokens in a prefill.
    pub fn record_batches(
        config: ModelConfig,
        catalog: &Catalog,
        context_tokens: u32,
        scoring: bool,
        batch_tokens: u32,
    ) -> Result<Self> {
        Self::record_as(config, catalog, Recording { context_tokens, scoring, batch_tokens, kv_cache: KvFormat::F32 })
    }

    /// The same, as is wished.
    pub fn record_as(config: ModelConfig, catalog: &Catalog, wishes: Recording) -> Result<Self> {
        let Recording { context_tokens, scoring, batch_tokens, kv_cache } = wishes;
        if !config.causal {
            let reason = "is false: the model sees a whole text at once, so it makes vectors and cannot continue texts";
            return Err(Error::config("is_causal", reason));
        }
        let mut recorder = Recorder::new(&config, catalog, context_tokens)?;
        recorder.kv_cache = kv_cache;
        // No batch is longer than the context, and one whose logits are all wanted must fit too.
        recorder.batch = batch_tokens.min(context_tokens).clamp(SCORE_TOKENS_MAX, PREFILL_TOKENS_MAX);
        let shared = recorder.shared(scoring)?;
        recorder.embed(shared.embedding, shared.ids, shared.stream);
        recorder.enter_rotation(shared.stream);
        recorder.blocks(shared.stream)?;
        recorder.weights.check_all_read(true)?;
        recorder.plan("decode", 1, false, &shared);
        recorder.plan("prefill", recorder.batch, false, &shared);
        let [choice, shortlist, peaks] = recorder.choices(&shared);
        if scoring {
            recorder.plan("score", SCORE_TOKENS_MAX, true, &shared);
        }
        let Recorder { program, weights: Weights { loads, states, .. }, .. } = recorder;
        let logits = shared.logits;
        Ok(Self { program, context_tokens, weights: loads, states, logits, choice, shortlist, peaks, config })
    }

    /// Bytes of the caches.
    pub fn cache_bytes(config: &ModelConfig, context_tokens: u32, kv_cache: KvFormat) -> u64 {
        let head = KvLayout::new(kv_cache, config.head_dim, context_tokens).head_words() * 4;
        u64::from(config.layers) * 2 * u64::from(config.kv_heads) * head
    }
}

/// Tensors that stand outside the layers.
struct Shared {
    ids: TensorId,
    embedding: TensorId,
    head: TensorId,
    head_bias: Option<TensorId>,
    final_norm: TensorId,
    stream: TensorId,
    normed: TensorId,
    last: TensorId,
    last_normed: TensorId,
    logits: TensorId,
}

/// The commands between embedding and head are the same in every plan: they are recorded once, for a batch.
struct Recorder<'a> {
    config: &'a ModelConfig,
    context: u32,
    /// Tokens of the largest batch.
    batch: u32,
    /// Whether keys and values are kept for the tokens of the next batch.
    remembers: bool,
    /// How they are kept then.
    kv_cache: KvFormat,
    program: Program,
    weights: Weights<'a>,
    commands: Vec<Command>,
    /// The tables of [`ModelConfig::ropes`].
    ropes: Vec<TensorId>,
    rotations: Rotations,
}

impl<'a> Recorder<'a> {
    fn new(config: &'a ModelConfig, catalog: &'a Catalog, context: u32) -> Result<Self> {
        catalog.check_weights()?;
        let recorder = Self {
            config,
            context,
            batch: PREFILL_TOKENS_MAX,
            remembers: true,
            kv_cache: KvFormat::F32,
            program: Program { code: catalog.quantization.code, ..Program::default() },
            weights: Weights::new(catalog, config),
            commands: Vec::new(),
            ropes: Vec::new(),
            rotations: Rotations::new(catalog.quantization.rotation),
        };
        recorder.check_rotations()?;
        Ok(recorder)
    }

    /// How keys and values are stored: what is forgotten with its layer is not worth rounding.
    fn cache_format(&self) -> KvFormat {
        if self.remembers { self.kv_cache } else { KvFormat::F32 }
    }

    fn scratch(&mut self, label: &str, columns: u32) -> TensorId {
        self.program.declare(label, TensorKind::Scratch, self.batch.into(), columns.into())
    }

    /// Everything between embedding and final norm.
    fn blocks(&mut self, stream: TensorId) -> Result<()> {
        for layer in 0..self.config.layers {
            self.attention(layer, stream)?;
            self.feed_forward(layer, stream)?;
        }
        Ok(())
    }

    fn shared(&mut self, scoring: bool) -> Result<Shared> {
        let ModelConfig { vocab_size, hidden, tied_embedding, .. } = *self.config;
        let matrix = [vocab_size, hidden];
        let embedding = self.weights.matrix(&mut self.program, Role::Embedding, 0, matrix)?;
        // A head in the file is used even where the configuration ties it to the embedding, as transformers 5 does: if
        // the two are equal nothing changes, and if not the configuration is what is wrong.
        let has_head = tied_embedding == Some(false) || self.weights.has(Role::Head, 0);
        let head = if has_head { self.weights.matrix(&mut self.program, Role::Head, 0, matrix)? } else { embedding };
        let head_bias = self.weights.bias(&mut self.program, Role::Head, 0, vocab_size, false)?;
        if head_bias.is_some() && !vocab_size.is_multiple_of(4) {
            return Err(Error::config(
                "output.bias",
                format!("has {vocab_size} numbers, which is not a multiple of 4"),
            ));
        }
        let final_norm = self.weights.norm(&mut self.program, Role::FinalNorm, 0, hidden)?;
        self.rope_tables()?;
        self.declare_signs(!has_head);
        let logits_rows = if scoring { SCORE_TOKENS_MAX } else { 1 };
        Ok(Shared {
            ids: self.program.declare("token ids", TensorKind::Tokens, 1, self.batch.into()),
            embedding,
            head,
            head_bias,
            final_norm,
            stream: self.scratch("residual stream", hidden),
            normed: self.scratch("final normed", hidden),
            last: self.program.declare("last", TensorKind::Scratch, 1, hidden.into()),
            last_normed: self.program.declare("last normed", TensorKind::Scratch, 1, hidden.into()),
            logits: self.program.declare("logits", TensorKind::State, logits_rows.into(), vocab_size.into()),
        })
    }

    fn rope_tables(&mut self) -> Result<()> {
        for index in 0..self.config.ropes.len() {
            let table = self.weights.rope_table(&mut self.program, index, self.context)?;
            self.ropes.push(table);
        }
        Ok(())
    }

    fn embed(&mut self, table: TensorId, ids: TensorId, out: TensorId) {
        let (columns, factor) = (self.config.hidden, self.config.scales.embedding);
        self.commands.push(Command::Embed(Embed { table, ids, out, columns }));
        if factor != 1.0 {
            let params = scale::Params { columns, factor, softcap: 0.0, single: 0 };
            self.commands.push(Command::Scale(Scale { x: out, params }));
        }
    }

    /// From the stream to the logits, of every token of the batch or of its last.
    fn head(&self, commands: &mut Vec<Command>, shared: &Shared, all_logits: bool) {
        let ModelConfig { hidden: columns, vocab_size: rows, scales, .. } = *self.config;
        let (weights, out) = (shared.head, shared.logits);
        if all_logits {
            self.leave_rotation(commands, shared.stream, false);
            commands.push(self.rms_norm(shared.stream, shared.final_norm, shared.normed, false));
            commands.push(linear(shared.normed, weights, out, [rows, columns], false));
        } else {
            let params = last_row::Params { columns };
            commands.push(Command::LastRow(LastRow { x: shared.stream, out: shared.last, params }));
            self.leave_rotation(commands, shared.last, true);
            commands.push(self.rms_norm(shared.last, shared.final_norm, shared.last_normed, true));
            let x = shared.last_normed;
            commands.push(Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate: false }));
        }
        let single = u32::from(!all_logits);
        if let Some(bias) = shared.head_bias {
            let params = add_bias::Params { columns: rows, single };
            commands.push(Command::AddBias(AddBias { bias, x: out, params }));
        }
        if scales.logits != 1.0 || scales.logits_softcap != 0.0 {
            let params = scale::Params { columns: rows, factor: scales.logits, softcap: scales.logits_softcap, single };
            commands.push(Command::Scale(Scale { x: out, params }));
        }
    }

    /// From the embedding to the logits.
    fn plan(&mut self, name: &str, tokens_max: u32, all_logits: bool, shared: &Shared) {
        let mut commands = self.commands.clone();
        self.head(&mut commands, shared, tokens_max == 1 || all_logits);
        if tokens_max == 1 {
            commands.iter_mut().for_each(for_one_token);
        }
        self.program.plans.push(Plan { name: name.into(), tokens_max, commands });
    }

    fn rms_norm(&self, x: TensorId, weight: TensorId, out: TensorId, single: bool) -> Command {
        let params = rms_norm::Params { columns: self.config.hidden, epsilon: self.config.norm_epsilon, rows: 1 };
        Command::RmsNorm(RmsNorm { x, weight, out, single, params })
    }

    /// What a branch of the block reads: the stream, behind a norm if the architecture has one there.
    fn branch_in(&mut self, role: Role, layer: u32, stream: TensorId) -> Result<TensorId> {
        if self.config.architecture.norms == Norms::Post {
            return Ok(stream);
        }
        self.normed(role, layer, stream)
    }

    /// A norm over the stream's width.
    fn normed(&mut self, role: Role, layer: u32, x: TensorId) -> Result<TensorId> {
        let hidden = self.config.hidden;
        let weight = self.weights.norm(&mut self.program, role, layer, hidden)?;
        let out = self.scratch("normed", hidden);
        self.commands.push(self.rms_norm(x, weight, out, false));
        Ok(out)
    }

    /// Whether a branch may be added to the stream by the command that computes it.
    fn adds_at_once(&self) -> bool {
        self.config.architecture.norms == Norms::Pre && self.config.scales.residual == 1.0
    }

    /// Adds a branch to the stream, behind a norm if the architecture has one there.
    fn branch_out(&mut self, role: Role, layer: u32, branch: TensorId, stream: TensorId) -> Result<()> {
        let is_normed = self.config.architecture.norms != Norms::Pre;
        let x = if is_normed { self.normed(role, layer, branch)? } else { branch };
        let params = add_scaled::Params { columns: self.config.hidden, factor: self.config.scales.residual };
        self.commands.push(Command::AddScaled(AddScaled { x, out: stream, params }));
        Ok(())
    }

    /// Where a branch's last product goes: onto the stream, or into memory of its own.
    fn branch_sum(&mut self, stream: TensorId) -> TensorId {
        if self.adds_at_once() { stream } else { self.scratch("branch", self.config.hidden) }
    }

    fn add_bias(&mut self, bias: Option<TensorId>, x: TensorId, columns: u32) {
        if let Some(bias) = bias {
            self.commands.push(Command::AddBias(AddBias { bias, x, params: add_bias::Params { columns, single: 0 } }));
        }
    }
}

/// A linear layer; `shape` is its (rows, columns).
fn linear(x: TensorId, weights: TensorId, out: TensorId, shape: [u32; 2], accumulate: bool) -> Command {
    let [rows, columns] = shape;
    Command::Matmul(Matmul { x, weights, out, columns, rows, accumulate })
}

/// One token has a kernel of its own.
fn for_one_token(command: &mut Command) {
    if let Command::Matmul(Matmul { x, weights, out, columns, rows, accumulate }) = *command {
        *command = Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate });
    }
}
