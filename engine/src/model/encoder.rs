//! Records an encoder's plan: BERT's block (Devlin et al. 2019), whose norms stand behind each sum.

use super::{Component, EncoderConfig, StateInit, WeightLoad, encoder_names::Names, encoder_names::Part, unexpected};
use crate::{
    Error, Result,
    file::Catalog,
    kernel::{
        AddBias, AddRows, Attention, Embed, Gelu, KvWrite, LayerNorm, Matmul,
        shader::{add_bias, add_rows, attention, gelu, kv_write, layer_norm},
    },
    plan::{Command, Plan, Program, TensorKind},
    tensor::{KvFormat, TensorId},
};

/// A recorded encoder, or a decoder in its place. Its program has one plan: a whole text in, a vector for each of its
/// tokens out.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Tokens in the vocabulary.
    pub vocab_size: u32,
    /// Length of a token's vector.
    pub hidden: u32,
    /// Its tensors and its plan.
    pub program: Program,
    /// Tokens of the longest text that there is room for.
    pub tokens_max: u32,
    /// Matrices to upload as they are.
    pub weights: Vec<WeightLoad>,
    /// States to fill.
    pub states: Vec<(TensorId, StateInit)>,
    /// (tokens_max, hidden): where the plan leaves the tokens' vectors.
    pub vectors: TensorId,
}

impl Encoder {
    /// Records the plan of a model for texts of so many tokens.
    pub fn record(config: EncoderConfig, catalog: &Catalog, tokens_max: u32) -> Result<Self> {
        catalog.check_weights()?;
        let mut recorder = Recorder {
            names: Names::find(config.naming, catalog),
            catalog,
            tokens_max,
            program: Program { code: catalog.quantization.code, ..Program::default() },
            weights: Vec::new(),
            states: Vec::new(),
            commands: Vec::new(),
            config,
        };
        let ids = recorder.program.declare("token ids", TensorKind::Tokens, 1, tokens_max.into());
        let mut stream = recorder.embedding(ids)?;
        for layer in 0..recorder.config.layers {
            let attended = recorder.attention(layer, stream)?;
            stream = recorder.feed_forward(layer, attended)?;
        }
        recorder.check_all_read()?;
        let Recorder { config, mut program, weights, states, commands, .. } = recorder;
        // What is read after the plan must outlive it.
        program.tensors[stream.0 as usize].kind = TensorKind::State;
        program.plans.push(Plan { name: "encode".into(), tokens_max, commands });
        let EncoderConfig { vocab_size, hidden, .. } = config;
        Ok(Self { vocab_size, hidden, program, tokens_max, weights, states, vectors: stream })
    }

    /// Bytes that the recorded program takes on a device, besides a little padding.
    pub fn device_bytes(&self) -> u64 {
        let kept = self.program.tensors.iter().filter(|tensor| tensor.kind != TensorKind::Scratch);
        kept.map(crate::plan::TensorDecl::bytes).sum::<u64>() + crate::plan::Slots::assign(&self.program).bytes()
    }
}

struct Recorder<'a> {
    config: EncoderConfig,
    names: Names,
    catalog: &'a Catalog,
    tokens_max: u32,
    program: Program,
    weights: Vec<WeightLoad>,
    states: Vec<(TensorId, StateInit)>,
    commands: Vec<Command>,
}

impl Recorder<'_> {
    /// Refuses a file with tensors that nothing recorded so far reads, unless they are known to change no vector.
    fn check_all_read(&self) -> Result<()> {
        let of_weights = self.weights.iter().flat_map(|load| &load.components).map(|part| part.name.as_str());
        let of_states = self.states.iter().flat_map(|(_, init)| init.tensors());
        let is_harmless = |name: &str| unexpected::is_harmless_to_vectors(name, self.names.prefix());
        unexpected::refuse(self.catalog, self.config.architecture.name, of_weights.chain(of_states), is_harmless)
    }

    /// A matrix of the catalog, whose shape must be (rows, columns).
    fn matrix(&mut self, part: Part, layer: u32, rows: u32, columns: u32) -> Result<TensorId> {
        let name = self.names.weight(part, layer, self.catalog);
        let info = self.catalog.tensor(&name)?;
        check_shape(&name, &info.shape, &[rows.into(), columns.into()])?;
        let id = self.program.declare(&name, TensorKind::Weight(info.format), rows.into(), columns.into());
        let component = Component { name, rows: 0..rows.into(), first_row: 0 };
        self.weights.push(WeightLoad { id, components: vec![component] });
        Ok(id)
    }

    /// A vector of the catalog, as F32.
    fn vector(&mut self, name: String, columns: u32) -> Result<TensorId> {
        check_shape(&name, &self.catalog.tensor(&name)?.shape, &[columns.into()])?;
        let id = self.program.declare(&name, TensorKind::State, 1, columns.into());
        self.states.push((id, StateInit::vector(name, columns)));
        Ok(id)
    }

    fn scratch(&mut self, label: &str, columns: u32) -> TensorId {
        self.program.declare(label, TensorKind::Scratch, self.tokens_max.into(), columns.into())
    }

    /// What each token starts with: the sum of its own vector, its position's and its type's, normalised.
    fn embedding(&mut self, ids: TensorId) -> Result<TensorId> {
        let EncoderConfig { vocab_size, hidden: columns, first_position, .. } = self.config;
        let table = self.matrix(Part::Words, 0, vocab_size, columns)?;
        let positions = self.positions(first_position, columns)?;
        let sum = self.scratch("embedding", columns);
        self.commands.push(Command::Embed(Embed { table, ids, out: sum, columns }));
        let params = add_rows::Params { columns };
        self.commands.push(Command::AddRows(AddRows { table: positions, x: sum, params }));
        self.norm(Part::EmbeddingNorm, 0, sum)
    }

    fn positions(&mut self, first_row: u32, columns: u32) -> Result<TensorId> {
        let table = self.names.weight(Part::Positions, 0, self.catalog);
        let info = self.catalog.tensor(&table)?;
        let (first_row, rows) = (u64::from(first_row), u64::from(self.tokens_max));
        if info.shape.len() != 2 || info.columns() != u64::from(columns) || info.rows() < first_row + rows {
            let expected = vec![first_row + rows, columns.into()];
            return Err(Error::WrongShape { tensor: table, expected, found: info.shape.clone() });
        }
        let types = Some(self.names.weight(Part::Types, 0, self.catalog));
        let types = types.filter(|name| self.catalog.tensors.contains_key(name));
        if let Some(name) = &types {
            let info = self.catalog.tensor(name)?;
            if info.columns() != u64::from(columns) || info.rows() == 0 {
                let expected = vec![1, columns.into()];
                return Err(Error::WrongShape { tensor: name.clone(), expected, found: info.shape.clone() });
            }
        }
        let id = self.program.declare("positions", TensorKind::State, rows, columns.into());
        self.states.push((id, StateInit::Positions { table, rows: first_row..first_row + rows, types }));
        Ok(id)
    }

    /// Self-attention in which every token sees all others, added to what came in and normalised.
    fn attention(&mut self, layer: u32, stream: TensorId) -> Result<TensorId> {
        let EncoderConfig { hidden, heads, .. } = self.config;
        let (head_dim, context) = (self.config.head_dim(), self.tokens_max);
        let queries = self.linear(Part::Query, layer, stream, hidden, hidden)?;
        let keys = self.linear(Part::Key, layer, stream, hidden, hidden)?;
        let values = self.linear(Part::Value, layer, stream, hidden, hidden)?;
        let [keys, values] = [keys, values].map(|x| {
            let rows = u64::from(heads) * u64::from(context);
            let cache = self.program.declare("by head", TensorKind::Scratch, rows, head_dim.into());
            let params = kv_write::Params { kv_heads: heads, head_dim, context };
            self.commands.push(Command::KvWrite(KvWrite { x, cache, format: KvFormat::F32, params }));
            cache
        });
        let mixed = self.scratch("mixed values", hidden);
        let params = attention::Params {
            heads,
            kv_heads: heads,
            head_dim,
            context,
            scale: 1.0 / (head_dim as f32).sqrt(),
            causal: 0,
            ..attention::Params::default()
        };
        let format = KvFormat::F32;
        self.commands.push(Command::Attention(Attention { queries, keys, values, format, out: mixed, params }));
        self.add_linear(Part::AttentionOutput, layer, mixed, stream, hidden, hidden)?;
        self.norm(Part::AttentionNorm, layer, stream)
    }

    /// The feed-forward layer, added to what came in and normalised.
    fn feed_forward(&mut self, layer: u32, stream: TensorId) -> Result<TensorId> {
        let EncoderConfig { hidden, feed_forward, gelu_tanh, .. } = self.config;
        let raised = self.linear(Part::Up, layer, stream, feed_forward, hidden)?;
        let activated = self.scratch("activated", feed_forward);
        let params = gelu::Params { columns: feed_forward, tanh_form: u32::from(gelu_tanh) };
        self.commands.push(Command::Gelu(Gelu { x: raised, out: activated, params }));
        self.add_linear(Part::Down, layer, activated, stream, hidden, feed_forward)?;
        self.norm(Part::FeedForwardNorm, layer, stream)
    }

    /// A linear layer with its bias, into memory of its own.
    fn linear(&mut self, part: Part, layer: u32, x: TensorId, rows: u32, columns: u32) -> Result<TensorId> {
        let out = self.scratch("linear", rows);
        self.product(part, layer, x, out, rows, columns, false)?;
        Ok(out)
    }

    /// A linear layer with its bias, added to what is there.
    fn add_linear(
        &mut self,
        part: Part,
        layer: u32,
        x: TensorId,
        out: TensorId,
        rows: u32,
        columns: u32,
    ) -> Result<()> {
        self.product(part, layer, x, out, rows, columns, true)
    }

    #[allow(clippy::too_many_arguments, reason = "a linear layer in full")]
    fn product(
        &mut self,
        part: Part,
        layer: u32,
        x: TensorId,
        out: TensorId,
        rows: u32,
        columns: u32,
        accumulate: bool,
    ) -> Result<()> {
        let weights = self.matrix(part, layer, rows, columns)?;
        let name = self.names.bias(part, layer, self.catalog);
        let bias = self.vector(name, rows)?;
        self.commands.push(Command::Matmul(Matmul { x, weights, out, columns, rows, accumulate }));
        let params = add_bias::Params { columns: rows, single: 0 };
        self.commands.push(Command::AddBias(AddBias { x: out, bias, params }));
        Ok(())
    }

    fn norm(&mut self, part: Part, layer: u32, x: TensorId) -> Result<TensorId> {
        let columns = self.config.hidden;
        let weight = self.names.weight(part, layer, self.catalog);
        let weight = self.vector(weight, columns)?;
        let bias = self.names.bias(part, layer, self.catalog);
        let bias = self.vector(bias, columns)?;
        let out = self.scratch("normalised", columns);
        let params = layer_norm::Params { columns, epsilon: self.config.norm_epsilon };
        self.commands.push(Command::LayerNorm(LayerNorm { x, weight, bias, out, params }));
        Ok(out)
    }
}

fn check_shape(name: &str, found: &[u64], expected: &[u64]) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::WrongShape { tensor: name.to_owned(), expected: expected.to_vec(), found: found.to_vec() })
}
