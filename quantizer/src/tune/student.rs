//! A quantised model whose rows' scales and norms' gains can be moved: the engine's own plan, and what it computes with.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    file::{Catalog, OpenedModel},
    model::{Model, ModelConfig, PlanIndex, StateInit},
    plan::Command,
    quant::rotation::signs,
    tensor::TensorId,
};

use super::{Number, kl::divergence, matrix::Matrix, tape::Tape};
use crate::model::calibration::state_values;

/// Numbers that are tuned together.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The tensor that they are stored in.
    pub tensor: String,
    /// What they are there.
    pub kind: ParameterKind,
    /// Where they begin among all parameters.
    pub first: usize,
    /// How many there are.
    pub count: usize,
}

/// What numbers are in their tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// The scales of a matrix's rows from this one on.
    Scales {
        /// The first of them.
        first_row: usize,
    },
    /// A norm's gains.
    Gains {
        /// Whether they are stored as what is added to 1.
        add_one: bool,
    },
}

/// A model in memory as it is stored.
pub struct Student {
    pub(super) commands: Vec<Command>,
    /// By tensor: the last command that touches it.
    pub(super) last_uses: Vec<usize>,
    pub(super) matrices: BTreeMap<TensorId, Matrix>,
    /// Tables, signs and biases.
    pub(super) states: BTreeMap<TensorId, Vec<f32>>,
    /// Where gains begin among the parameters.
    pub(super) gains: BTreeMap<TensorId, usize>,
    pub(super) logits: TensorId,
    parameters: Vec<Parameter>,
    values: Vec<f32>,
    config: ModelConfig,
}

impl Student {
    /// Reads a model for texts of up to so many tokens.
    pub async fn load(opened: &OpenedModel, tokens_max: u32) -> Result<Self> {
        let config = ModelConfig::read(&opened.documents)?;
        let catalog = &opened.catalog;
        let model = Model::record_batches(config, catalog, tokens_max.max(1), true, tokens_max)?;
        let commands = model.program.plans[PlanIndex::Score as usize].commands.clone();
        check(&commands, model.config.architecture.name)?;
        let mut last_uses = vec![0; model.program.tensors.len()];
        for (at, command) in commands.iter().enumerate() {
            command.operands().into_iter().for_each(|id| last_uses[id.0 as usize] = at);
        }
        let mut student = Self {
            commands,
            last_uses,
            matrices: BTreeMap::new(),
            states: BTreeMap::new(),
            gains: BTreeMap::new(),
            logits: model.logits,
            parameters: Vec::new(),
            values: Vec::new(),
            config: model.config.clone(),
        };
        student.read_matrices(catalog, &model).await?;
        student.read_states(catalog, &model, tokens_max.max(1)).await?;
        Ok(student)
    }

    async fn read_matrices(&mut self, catalog: &Catalog, model: &Model) -> Result<()> {
        for load in &model.weights {
            let [component] = load.components.as_slice() else {
                return Err(Error::invalid("tune", "needs a model without experts; switch it off with `--tune off`"));
            };
            let first = self.values.len();
            let (matrix, scales) = Matrix::read(catalog, component, first).await?;
            if matrix.scales().is_some() {
                let kind = ParameterKind::Scales { first_row: component.rows.start as usize };
                self.add(&component.name, kind, &scales);
            }
            self.matrices.insert(load.id, matrix);
        }
        Ok(())
    }

    async fn read_states(&mut self, catalog: &Catalog, model: &Model, tokens_max: u32) -> Result<()> {
        let norms: Vec<TensorId> = self.commands.iter().filter_map(norm_of).collect();
        for (id, init) in &model.states {
            let values = match init {
                StateInit::Signs { seed, columns } => {
                    let ones = || vec![1.0; *columns as usize];
                    Some(seed.map_or_else(ones, |seed| signs(seed, *columns as usize)))
                }
                _ => state_values(catalog, init, tokens_max).await?,
            };
            let values = values.unwrap_or_default();
            match init {
                StateInit::Tensor { name, add_one, .. } if norms.contains(id) => {
                    self.gains.insert(*id, self.values.len());
                    self.add(name, ParameterKind::Gains { add_one: *add_one }, &values);
                }
                _ => drop(self.states.insert(*id, values)),
            }
        }
        Ok(())
    }

    fn add(&mut self, tensor: &str, kind: ParameterKind, values: &[f32]) {
        let (first, count) = (self.values.len(), values.len());
        self.parameters.push(Parameter { tensor: tensor.to_owned(), kind, first, count });
        self.values.extend_from_slice(values);
    }

    /// What is tuned.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// All parameters as they were read.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Tokens of the vocabulary.
    pub fn vocab(&self) -> usize {
        self.config.vocab_size as usize
    }

    /// Bytes that a text of so many tokens takes beside the model: what each layer must remember for its gradients, and
    /// the logits of both models.
    pub fn text_bytes(&self, tokens: u64) -> u64 {
        let ModelConfig { hidden, heads, kv_heads, head_dim, feed_forward, layers, vocab_size, .. } = self.config;
        let [hidden, heads, kv_heads, head_dim, feed_forward] =
            [hidden, heads, kv_heads, head_dim, feed_forward].map(u64::from);
        let layer = 4 * hidden + 2 * heads * head_dim + 3 * kv_heads * head_dim + 3 * feed_forward;
        4 * tokens * (u64::from(layers) * layer + 3 * u64::from(vocab_size) + 3 * tokens)
    }

    /// Bytes of the model itself.
    pub fn bytes(&self) -> u64 {
        let matrices: usize = self.matrices.values().map(Matrix::bytes).sum();
        let states: usize = self.states.values().map(|values| 4 * values.len()).sum();
        (matrices + states + 4 * self.values.len()) as u64
    }

    /// Logits of each token of a text, (tokens, vocabulary), with such parameters.
    pub fn logits<N: Number>(&self, values: &[N], ids: &[u32]) -> Vec<N> {
        Tape::new(self, values, ids).forward(false)
    }

    /// Sum of the divergences at the tokens of a text, in nats, with such parameters; `teacher` are the logits of the
    /// model that this one was made of.
    pub fn divergence<N: Number>(&self, values: &[N], ids: &[u32], teacher: &[f32]) -> f64 {
        divergence(teacher, &mut self.logits(values, ids), self.vocab())
    }

    /// The same, and its gradient.
    pub fn gradient<N: Number>(&self, values: &[N], ids: &[u32], teacher: &[f32]) -> (f64, Vec<N>) {
        let mut tape = Tape::new(self, values, ids);
        let mut logits = tape.forward(true);
        let sum = divergence(teacher, &mut logits, self.vocab());
        (sum, tape.backward(logits))
    }
}

fn norm_of(command: &Command) -> Option<TensorId> {
    if let Command::RmsNorm(norm) = command { Some(norm.weight) } else { None }
}

/// Refuses a plan with commands that have no gradients here.
fn check(commands: &[Command], architecture: &str) -> Result<()> {
    let is_known = |command: &Command| match command {
        Command::Attention(attention) => attention.params.causal == 1,
        Command::Embed(_)
        | Command::RmsNorm(_)
        | Command::Matmul(_)
        | Command::Rope(_)
        | Command::KvWrite(_)
        | Command::Gated(_)
        | Command::AddBias(_)
        | Command::Scale(_)
        | Command::AddScaled(_)
        | Command::Rotate(_) => true,
        _ => false,
    };
    match commands.iter().find(|command| !is_known(command)) {
        Some(command) => {
            let reason = format!(
                "cannot follow {:?} of {architecture} backwards; switch tuning off with `--tune off`",
                command.kernel()
            );
            Err(Error::invalid("tune", reason))
        }
        None => Ok(()),
    }
}
