//! Records a decoder's plans: the block, written once.

use super::{ModelConfig, Role};
use crate::{
    Error, Result,
    file::Catalog,
    kernel::{
        Attention, Embed, Gated, KvWrite, LastRow, Matmul, Matvec, RmsNorm, Rope, rope_table,
        shader::{attention, gated, kv_write, last_row, rms_norm, rope},
    },
    plan::{Command, Plan, Program, TensorKind},
    tensor::TensorId,
};

/// The largest batch of a prefill: enough to keep a GPU busy, small enough to stop in time.
pub const PREFILL_TOKENS_MAX: u32 = 128;

/// The largest batch whose logits are all wanted: each row is as wide as the vocabulary.
const SCORE_TOKENS_MAX: u32 = 32;

/// Where each plan stands in [`Program::plans`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanIndex {
    /// One token; logits of it.
    Decode = 0,
    /// A batch; logits of its last token.
    Prefill = 1,
    /// A batch; logits of every token. Only recorded on request.
    Score = 2,
}

/// What fills a state before the first step.
#[derive(Clone, Debug, PartialEq)]
pub enum StateInit {
    /// A vector of the catalog, decoded to F32.
    Tensor {
        /// Its name there.
        name: String,
    },
    /// Numbers computed here.
    Values(Vec<f32>),
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
    /// Matrices to upload as they are, with their names in the catalog.
    pub weights: Vec<(TensorId, String)>,
    /// States to fill.
    pub states: Vec<(TensorId, StateInit)>,
    /// (1 or SCORE_TOKENS_MAX, vocabulary).
    pub logits: TensorId,
}

impl Model {
    /// Records the plans of a model for a context of so many tokens. `scoring` adds [`PlanIndex::Score`].
    pub fn record(config: ModelConfig, catalog: &Catalog, context_tokens: u32, scoring: bool) -> Result<Self> {
        let mut recorder = Recorder {
            catalog,
            context: context_tokens,
            program: Program::default(),
            weights: Vec::new(),
            states: Vec::new(),
            config,
        };
        let shared = recorder.shared(scoring)?;
        let layers = (0..recorder.config.layers).map(|layer| recorder.layer(layer)).collect::<Result<Vec<_>>>()?;
        let mut plans = vec![("decode", 1, false), ("prefill", PREFILL_TOKENS_MAX, false)];
        if scoring {
            plans.push(("score", SCORE_TOKENS_MAX, true));
        }
        for (name, tokens_max, all_logits) in plans {
            let commands = recorder.plan(&shared, &layers, tokens_max, all_logits);
            recorder.program.plans.push(Plan { name: name.into(), tokens_max, commands });
        }
        let Recorder { config, program, weights, states, .. } = recorder;
        Ok(Self { config, program, context_tokens, weights, states, logits: shared.logits })
    }

    /// Bytes of the caches.
    pub fn cache_bytes(config: &ModelConfig, context_tokens: u32) -> u64 {
        u64::from(config.layers) * 2 * u64::from(config.kv_heads * config.head_dim) * u64::from(context_tokens) * 4
    }
}

/// Tensors that stand outside the layers.
struct Shared {
    ids: TensorId,
    embedding: TensorId,
    head: TensorId,
    final_norm: TensorId,
    rope_table: TensorId,
    stream: TensorId,
    normed: TensorId,
    last: TensorId,
    last_normed: TensorId,
    logits: TensorId,
}

/// Tensors of one layer.
struct Layer {
    attention_norm: TensorId,
    query: TensorId,
    key: TensorId,
    value: TensorId,
    attention_output: TensorId,
    feed_forward_norm: TensorId,
    gate: TensorId,
    up: TensorId,
    down: TensorId,
    keys: TensorId,
    values: TensorId,
    attention_in: TensorId,
    q: TensorId,
    k: TensorId,
    v: TensorId,
    mixed: TensorId,
    feed_forward_in: TensorId,
    gated: TensorId,
    raised: TensorId,
    activated: TensorId,
}

struct Recorder<'a> {
    config: ModelConfig,
    catalog: &'a Catalog,
    context: u32,
    program: Program,
    weights: Vec<(TensorId, String)>,
    states: Vec<(TensorId, StateInit)>,
}

impl Recorder<'_> {
    /// A matrix of the catalog, whose shape must be (rows, columns).
    fn matrix(&mut self, role: Role, layer: u32, rows: u32, columns: u32) -> Result<TensorId> {
        let name = self.config.naming.name(role, layer);
        let info = self.catalog.tensor(&name)?;
        check_shape(&name, &info.shape, &[u64::from(rows), u64::from(columns)])?;
        let id = self.program.declare(&name, TensorKind::Weight(info.format), rows.into(), columns.into());
        self.weights.push((id, name));
        Ok(id)
    }

    /// A vector of the catalog, as F32.
    fn vector(&mut self, role: Role, layer: u32, columns: u32) -> Result<TensorId> {
        let name = self.config.naming.name(role, layer);
        check_shape(&name, &self.catalog.tensor(&name)?.shape, &[columns.into()])?;
        let id = self.program.declare(&name, TensorKind::State, 1, columns.into());
        self.states.push((id, StateInit::Tensor { name }));
        Ok(id)
    }

    fn scratch(&mut self, label: &str, columns: u32) -> TensorId {
        self.program.declare(label, TensorKind::Scratch, PREFILL_TOKENS_MAX.into(), columns.into())
    }

    fn shared(&mut self, scoring: bool) -> Result<Shared> {
        let ModelConfig { vocab_size, hidden, tied_embedding, naming, .. } = self.config;
        let embedding = self.matrix(Role::Embedding, 0, vocab_size, hidden)?;
        let has_head = self.catalog.tensors.contains_key(&naming.name(Role::Head, 0));
        // A GGUF says that the embedding serves as head by leaving the head out.
        let tied = tied_embedding || (naming == super::Naming::Gguf && !has_head);
        let head = if tied { embedding } else { self.matrix(Role::Head, 0, vocab_size, hidden)? };
        let final_norm = self.vector(Role::FinalNorm, 0, hidden)?;
        let frequencies = self.config.rope.frequencies();
        let rope_table_id =
            self.program.declare("rope table", TensorKind::State, self.context.into(), 2 * frequencies.len() as u64);
        self.states.push((rope_table_id, StateInit::Values(rope_table(self.context, &frequencies))));
        let logits_rows = if scoring { SCORE_TOKENS_MAX } else { 1 };
        Ok(Shared {
            ids: self.program.declare("token ids", TensorKind::Tokens, 1, PREFILL_TOKENS_MAX.into()),
            embedding,
            head,
            final_norm,
            rope_table: rope_table_id,
            stream: self.scratch("residual stream", hidden),
            normed: self.scratch("final normed", hidden),
            last: self.program.declare("last", TensorKind::Scratch, 1, hidden.into()),
            last_normed: self.program.declare("last normed", TensorKind::Scratch, 1, hidden.into()),
            logits: self.program.declare("logits", TensorKind::State, logits_rows.into(), vocab_size.into()),
        })
    }

    fn layer(&mut self, layer: u32) -> Result<Layer> {
        let ModelConfig { hidden, heads, kv_heads, head_dim, feed_forward, .. } = self.config;
        let (query_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let cache = |recorder: &mut Self, what: &str| {
            let rows = u64::from(kv_heads) * u64::from(recorder.context);
            recorder.program.declare(format!("{what} cache {layer}"), TensorKind::State, rows, head_dim.into())
        };
        Ok(Layer {
            attention_norm: self.vector(Role::AttentionNorm, layer, hidden)?,
            query: self.matrix(Role::Query, layer, query_width, hidden)?,
            key: self.matrix(Role::Key, layer, kv_width, hidden)?,
            value: self.matrix(Role::Value, layer, kv_width, hidden)?,
            attention_output: self.matrix(Role::AttentionOutput, layer, hidden, query_width)?,
            feed_forward_norm: self.vector(Role::FeedForwardNorm, layer, hidden)?,
            gate: self.matrix(Role::Gate, layer, feed_forward, hidden)?,
            up: self.matrix(Role::Up, layer, feed_forward, hidden)?,
            down: self.matrix(Role::Down, layer, hidden, feed_forward)?,
            keys: cache(self, "key"),
            values: cache(self, "value"),
            attention_in: self.scratch("attention in", hidden),
            q: self.scratch("q", query_width),
            k: self.scratch("k", kv_width),
            v: self.scratch("v", kv_width),
            mixed: self.scratch("mixed values", query_width),
            feed_forward_in: self.scratch("feed-forward in", hidden),
            gated: self.scratch("gate", feed_forward),
            raised: self.scratch("up", feed_forward),
            activated: self.scratch("activated", feed_forward),
        })
    }

    fn plan(&self, shared: &Shared, layers: &[Layer], tokens_max: u32, all_logits: bool) -> Vec<Command> {
        let ModelConfig { hidden, vocab_size, .. } = self.config;
        let mut commands = vec![Command::Embed(Embed {
            table: shared.embedding,
            ids: shared.ids,
            out: shared.stream,
            columns: hidden,
        })];
        for layer in layers {
            self.attention(&mut commands, shared, layer, tokens_max);
            self.feed_forward(&mut commands, shared, layer, tokens_max);
        }
        // With one token, or all logits, the whole stream goes through the head; otherwise only its last row.
        if tokens_max == 1 || all_logits {
            commands.push(self.norm(shared.stream, shared.final_norm, shared.normed, false));
            commands.push(linear(tokens_max, shared.normed, shared.head, shared.logits, hidden, vocab_size, false));
        } else {
            let params = last_row::Params { columns: hidden };
            commands.push(Command::LastRow(LastRow { x: shared.stream, out: shared.last, params }));
            commands.push(self.norm(shared.last, shared.final_norm, shared.last_normed, true));
            commands.push(linear(1, shared.last_normed, shared.head, shared.logits, hidden, vocab_size, false));
        }
        commands
    }

    fn attention(&self, commands: &mut Vec<Command>, shared: &Shared, layer: &Layer, tokens_max: u32) {
        let ModelConfig { hidden, heads, kv_heads, head_dim, ref rope, .. } = self.config;
        let (query_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let turn = |x, heads| {
            let params =
                rope::Params { heads, head_dim, rotary: rope.rotary, interleaved: u32::from(rope.interleaved) };
            Command::Rope(Rope { table: shared.rope_table, x, params })
        };
        let keep = |x, cache| {
            let params = kv_write::Params { kv_heads, head_dim, context: self.context };
            Command::KvWrite(KvWrite { x, cache, params })
        };
        let project = |weights, out, rows| linear(tokens_max, layer.attention_in, weights, out, hidden, rows, false);
        commands.extend([
            self.norm(shared.stream, layer.attention_norm, layer.attention_in, false),
            project(layer.query, layer.q, query_width),
            project(layer.key, layer.k, kv_width),
            project(layer.value, layer.v, kv_width),
            turn(layer.q, heads),
            turn(layer.k, kv_heads),
            keep(layer.k, layer.keys),
            keep(layer.v, layer.values),
            Command::Attention(Attention {
                queries: layer.q,
                keys: layer.keys,
                values: layer.values,
                out: layer.mixed,
                params: attention::Params {
                    heads,
                    kv_heads,
                    head_dim,
                    context: self.context,
                    scale: 1.0 / (head_dim as f32).sqrt(),
                    softcap: 0.0,
                    window: 0,
                    causal: 1,
                },
            }),
            linear(tokens_max, layer.mixed, layer.attention_output, shared.stream, query_width, hidden, true),
        ]);
    }

    fn feed_forward(&self, commands: &mut Vec<Command>, shared: &Shared, layer: &Layer, tokens_max: u32) {
        let ModelConfig { hidden, feed_forward, .. } = self.config;
        let project =
            |weights, out| linear(tokens_max, layer.feed_forward_in, weights, out, hidden, feed_forward, false);
        commands.extend([
            self.norm(shared.stream, layer.feed_forward_norm, layer.feed_forward_in, false),
            project(layer.gate, layer.gated),
            project(layer.up, layer.raised),
            Command::Gated(Gated {
                gate: layer.gated,
                up: layer.raised,
                out: layer.activated,
                params: gated::Params { columns: feed_forward, activation: 0 },
            }),
            linear(tokens_max, layer.activated, layer.down, shared.stream, feed_forward, hidden, true),
        ]);
    }

    fn norm(&self, x: TensorId, weight: TensorId, out: TensorId, single: bool) -> Command {
        let params = rms_norm::Params { columns: self.config.hidden, epsilon: self.config.norm_epsilon, rows: 1 };
        Command::RmsNorm(RmsNorm { x, weight, out, single, params })
    }
}

/// A linear layer: a product with one vector or with a batch of them.
fn linear(
    tokens_max: u32,
    x: TensorId,
    weights: TensorId,
    out: TensorId,
    columns: u32,
    rows: u32,
    accumulate: bool,
) -> Command {
    if tokens_max == 1 {
        Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate })
    } else {
        Command::Matmul(Matmul { x, weights, out, columns, rows, accumulate })
    }
}

fn check_shape(name: &str, found: &[u64], expected: &[u64]) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::WrongShape { tensor: name.to_owned(), expected: expected.to_vec(), found: found.to_vec() })
}
