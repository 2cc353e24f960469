//! Where the weights of a recorded model come from: which rows of which tensors of the files.

use std::ops::Range;

use super::{ModelConfig, Naming, Role, RopeConfig, RopeScaling, unexpected};
use crate::{
    Error, Result,
    file::{Catalog, TensorInfo},
    plan::{Program, TensorKind},
    tensor::{Format, TensorId},
};

/// A matrix to upload as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightLoad {
    /// Where it goes.
    pub id: TensorId,
    /// What it is made of: a tensor of the catalog, some rows of one, or one piece for each expert. Each can be loaded
    /// without the others.
    pub components: Vec<Component>,
}

/// Rows of a tensor of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its name there.
    pub name: String,
    /// Which of its rows.
    pub rows: Range<u64>,
    /// Where they begin in the matrix.
    pub first_row: u64,
}

/// What fills a state before the first step.
#[derive(Clone, Debug, PartialEq)]
pub enum StateInit {
    /// A vector of the catalog, or some numbers of one, decoded to F32.
    Tensor {
        /// Its name there.
        name: String,
        /// Which of its numbers.
        elements: Range<u64>,
        /// Whether 1 is added to each number.
        add_one: bool,
    },
    /// The cosines and sines of every position.
    RopeTable {
        /// How positions turn.
        rope: RopeConfig,
        /// The name of a vector of the catalog whose numbers divide the frequencies.
        factors: Option<String>,
    },
    /// The [signs](crate::quant::rotation::signs) of a rotation, or ones.
    Signs {
        /// What they follow from; None for ones.
        seed: Option<u64>,
        /// How many.
        columns: u32,
    },
    /// What every token of a position gets: rows of the position table, decoded to F32, to each of which the first
    /// row of the token types is added, since all tokens of one text are of the first type.
    Positions {
        /// The table's name.
        table: String,
        /// Which of its rows.
        rows: Range<u64>,
        /// The name of the token types, if the model has them.
        types: Option<String>,
    },
}

impl StateInit {
    /// A whole vector of the catalog, as it is.
    pub fn vector(name: String, columns: u32) -> Self {
        Self::Tensor { name, elements: 0..columns.into(), add_one: false }
    }

    /// The tensors of the catalog that it reads.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Tensor { name, .. } => (Some(name.as_str()), None),
            Self::RopeTable { factors, .. } => (factors.as_deref(), None),
            Self::Signs { .. } => (None, None),
            Self::Positions { table, types, .. } => (Some(table.as_str()), types.as_deref()),
        };
        first.into_iter().chain(second)
    }
}

/// Finds weights in a catalog, declares them and notes how to load them.
pub struct Weights<'a> {
    catalog: &'a Catalog,
    config: &'a ModelConfig,
    /// Whether the names lack the "model." in front: so transformers saves a decoder without its head.
    is_bare: bool,
    /// Matrices so far.
    pub loads: Vec<WeightLoad>,
    /// States so far.
    pub states: Vec<(TensorId, StateInit)>,
}

/// Rows of a matrix that lies in a larger one.
#[derive(Clone, Copy, Debug)]
pub struct Fused {
    /// What the larger one is for.
    pub role: Role,
    /// Where the rows begin.
    pub first_row: u32,
    /// Rows of the larger one.
    pub rows: u32,
}

impl<'a> Weights<'a> {
    /// None yet.
    pub fn new(catalog: &'a Catalog, config: &'a ModelConfig) -> Self {
        let mut weights = Self { catalog, config, is_bare: false, loads: Vec::new(), states: Vec::new() };
        if config.naming == Naming::HuggingFace && !weights.has(Role::Embedding, 0) {
            weights.is_bare = true;
            weights.is_bare = weights.has(Role::Embedding, 0);
        }
        weights
    }

    fn name(&self, role: Role, layer: u32) -> String {
        self.in_file(self.config.naming.weight(role, self.config.architecture.norms, layer))
    }

    fn bias_name(&self, role: Role, layer: u32) -> String {
        self.in_file(self.config.naming.bias(role, self.config.architecture.norms, layer))
    }

    fn in_file(&self, name: String) -> String {
        match name.strip_prefix("model.") {
            Some(bare) if self.is_bare => bare.to_owned(),
            _ => name,
        }
    }

    /// Whether the catalog has such a weight.
    pub fn has(&self, role: Role, layer: u32) -> bool {
        self.catalog.tensors.contains_key(&self.name(role, layer))
    }

    /// Whether query, key and value lie in one matrix. Of a GGUF the tensors tell: llama.cpp writes the three of any
    /// architecture as one if it is asked to.
    pub fn are_projections_fused(&self, layer: u32) -> bool {
        match self.config.naming {
            Naming::HuggingFace => self.config.architecture.fused,
            Naming::Gguf => self.has(Role::QueryKeyValue, layer),
        }
    }

    /// Whether gate and up lie in one matrix. In a GGUF that one has the name of up.
    pub fn are_raises_fused(&self, layer: u32) -> bool {
        self.config.architecture.fused && !(self.config.naming == Naming::Gguf && self.has(Role::Gate, layer))
    }

    /// A matrix whose shape must be (rows, columns).
    pub fn matrix(&mut self, program: &mut Program, role: Role, layer: u32, shape: [u32; 2]) -> Result<TensorId> {
        let fused = Fused { role, first_row: 0, rows: shape[0] };
        self.part(program, fused, layer, shape)
    }

    /// A matrix that is some rows of a larger one.
    pub fn part(&mut self, program: &mut Program, fused: Fused, layer: u32, shape: [u32; 2]) -> Result<TensorId> {
        let [rows, columns] = shape.map(u64::from);
        let name = self.name(fused.role, layer);
        let info = self.catalog.tensor(&name)?;
        check_shape(info, &[fused.rows.into(), columns])?;
        let id = program.declare(&name, TensorKind::Weight(info.format), rows, columns);
        let first_row = u64::from(fused.first_row);
        check_strips(info, first_row..first_row + rows, 0)?;
        let component = Component { name, rows: first_row..first_row + rows, first_row: 0 };
        self.loads.push(WeightLoad { id, components: vec![component] });
        Ok(id)
    }

    /// The matrices of all experts, one below the other, each of the shape (rows, columns).
    pub fn experts(&mut self, program: &mut Program, role: Role, layer: u32, shape: [u32; 2]) -> Result<TensorId> {
        let [rows, columns] = shape.map(u64::from);
        let count = self.config.experts.map_or(0, |experts| u64::from(experts.count));
        let mut format: Option<Format> = None;
        let mut components = Vec::new();
        // A GGUF may have each expert's gate above its up.
        let halves = match role {
            Role::ExpertGate => Some(0),
            Role::ExpertUp => Some(rows),
            _ => None,
        };
        let halves = halves.filter(|_| !self.has(role, layer) && self.has(Role::ExpertGateUp, layer));
        for expert in 0..count {
            let name = match halves {
                Some(_) => self.name(Role::ExpertGateUp, layer),
                None => self.in_file(self.config.naming.expert(role, layer, expert as u32)),
            };
            let info = self.catalog.tensor(&name)?;
            // A GGUF has all experts in one tensor.
            let first = match (self.config.naming, halves) {
                (Naming::HuggingFace, _) => {
                    check_shape(info, &[rows, columns])?;
                    0
                }
                (Naming::Gguf, None) => {
                    check_shape(info, &[count, rows, columns])?;
                    expert * rows
                }
                (Naming::Gguf, Some(first)) => {
                    check_shape(info, &[count, 2 * rows, columns])?;
                    expert * 2 * rows + first
                }
            };
            if *format.get_or_insert(info.format) != info.format {
                let format = format!("{}, unlike the experts before it", info.format);
                return Err(Error::UnsupportedFormat { tensor: name, format });
            }
            check_strips(info, first..first + rows, expert * rows)?;
            components.push(Component { name, rows: first..first + rows, first_row: expert * rows });
        }
        let Some(format) = format else { return Err(Error::config("num_experts", "is 0")) };
        let label = self.in_file(self.config.naming.expert(role, layer, 0));
        let id = program.declare(label, TensorKind::Weight(format), count * rows, columns);
        self.loads.push(WeightLoad { id, components });
        Ok(id)
    }

    /// A norm's weights.
    pub fn norm(&mut self, program: &mut Program, role: Role, layer: u32, columns: u32) -> Result<TensorId> {
        let add_one = self.config.naming == Naming::HuggingFace && self.config.architecture.hf_norms_add_one;
        self.vector(program, self.name(role, layer), columns, add_one)
    }

    /// A projection's bias: in a GGUF if it is there, else if it `is_configured`.
    pub fn bias(
        &mut self,
        program: &mut Program,
        role: Role,
        layer: u32,
        columns: u32,
        is_configured: bool,
    ) -> Result<Option<TensorId>> {
        let name = self.bias_name(role, layer);
        let is_wanted = match self.config.naming {
            Naming::HuggingFace => is_configured,
            Naming::Gguf => self.catalog.tensors.contains_key(&name),
        };
        is_wanted.then(|| self.vector(program, name, columns, false)).transpose()
    }

    /// The bias of some rows of a larger matrix, if the file has one.
    pub fn bias_part(
        &mut self,
        program: &mut Program,
        fused: Fused,
        layer: u32,
        columns: u32,
    ) -> Result<Option<TensorId>> {
        let name = self.bias_name(fused.role, layer);
        let Some(info) = self.catalog.tensors.get(&name) else { return Ok(None) };
        check_shape(info, &[fused.rows.into()])?;
        let first = u64::from(fused.first_row);
        let id = program.declare(&name, TensorKind::State, 1, columns.into());
        let elements = first..first + u64::from(columns);
        self.states.push((id, StateInit::Tensor { name, elements, add_one: false }));
        Ok(Some(id))
    }

    fn vector(&mut self, program: &mut Program, name: String, columns: u32, add_one: bool) -> Result<TensorId> {
        check_shape(self.catalog.tensor(&name)?, &[columns.into()])?;
        let id = program.declare(&name, TensorKind::State, 1, columns.into());
        self.states.push((id, StateInit::Tensor { name, elements: 0..columns.into(), add_one }));
        Ok(id)
    }

    /// Refuses a file with tensors that nothing recorded so far reads, unless they are known to change no logit; where
    /// no logits are wanted, what makes them is passed over too.
    pub fn check_all_read(&self, with_head: bool) -> Result<()> {
        let of_loads = self.loads.iter().flat_map(|load| &load.components).map(|component| component.name.as_str());
        let of_states = self.states.iter().flat_map(|(_, init)| init.tensors());
        // Of the two sets of factors for a long context only one is read.
        let is_long = self.config.ropes.iter().any(|rope| matches!(rope.scaling, RopeScaling::Long { .. }));
        let heads = [self.name(Role::Head, 0), self.bias_name(Role::Head, 0)];
        let is_harmless = |name: &str| match self.config.naming {
            _ if !with_head && heads.iter().any(|head| head == name) => true,
            Naming::HuggingFace => unexpected::is_harmless_in_hf(name),
            Naming::Gguf => {
                unexpected::is_harmless_in_gguf(name) || is_long && RopeConfig::LONG_FACTORS.contains(&name)
            }
        };
        unexpected::refuse(self.catalog, self.config.architecture.name, of_loads.chain(of_states), is_harmless)
    }

    /// The table of a rope. Only the first of a model's ropes has factors in the file.
    pub fn rope_table(&mut self, program: &mut Program, index: usize, context: u32) -> Result<TensorId> {
        let rope = self.config.ropes.get(index).cloned();
        let rope = rope.ok_or_else(|| Error::config("rope_parameters", "are missing"))?;
        let factors = self.rope_factors(&rope, index, context)?;
        let id = program.declare("rope table", TensorKind::State, context.into(), rope.rotary.into());
        self.states.push((id, StateInit::RopeTable { rope, factors }));
        Ok(id)
    }

    /// The tensor of a GGUF that divides the frequencies. Where the metadata asks for factors that change with the
    /// context, both sets must be there: without them the model would answer, and wrongly.
    fn rope_factors(&self, rope: &RopeConfig, index: usize, context: u32) -> Result<Option<String>> {
        if index > 0 || self.config.naming != Naming::Gguf {
            return Ok(None);
        }
        if matches!(rope.scaling, RopeScaling::Long { .. }) {
            for name in RopeConfig::LONG_FACTORS {
                check_shape(self.catalog.tensor(name)?, &[u64::from(rope.rotary / 2)])?;
            }
        }
        let name = rope.factors_name(context);
        let Some(info) = self.catalog.tensors.get(name) else { return Ok(None) };
        check_shape(info, &[u64::from(rope.rotary / 2)])?;
        Ok(Some(name.to_owned()))
    }
}

/// Rows that stand in strips can only be taken as whole strips, and only put where a strip begins.
fn check_strips(info: &TensorInfo, rows: Range<u64>, at: u64) -> Result<()> {
    let strip = info.format.strip_rows();
    if info.bytes_of_rows(&rows).is_some() && at.is_multiple_of(strip) {
        return Ok(());
    }
    let format =
        format!("{}, whose rows stand in strips of {strip}: {rows:?} of them are no whole strips", info.format);
    Err(Error::UnsupportedFormat { tensor: info.name.clone(), format })
}

fn check_shape(info: &TensorInfo, expected: &[u64]) -> Result<()> {
    if info.shape == expected {
        return Ok(());
    }
    Err(Error::WrongShape { tensor: info.name.clone(), expected: expected.to_vec(), found: info.shape.clone() })
}
