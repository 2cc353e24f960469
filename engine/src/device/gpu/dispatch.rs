//! The dispatches of a plan's commands, each with its shader, its parameters and what it binds.

use std::ops::RangeInclusive;

use super::{
    buffers::{Buffers, Part},
    pipelines::{Constants, Pipelines},
    tuning::Tuning,
};
use crate::{
    kernel::{Attend, Matmul, Matvec, Reading, Step, Variant, shader},
    plan::{Command, Program, TensorKind},
    quant::trellis::Code,
    tensor::{Format, KvFormat, TensorId},
};

/// What dispatches are made with.
pub struct Bench<'a> {
    /// The GPU.
    pub device: &'a wgpu::Device,
    /// Its queue.
    pub queue: &'a wgpu::Queue,
    /// What is made ready.
    pub program: &'a Program,
    /// Its tensors.
    pub buffers: &'a Buffers,
}

impl Bench<'_> {
    /// How a matrix is stored; None for other tensors.
    pub fn format(&self, id: TensorId) -> Option<Format> {
        match self.program.tensor(id).kind {
            TensorKind::Weight(format) => Some(format),
            _ => None,
        }
    }
}

/// How many workgroups a dispatch has.
pub enum Size {
    /// Those of a command; `part_rows` are the rows of the matrix's part that it covers.
    Command { command: Command, part_rows: u32 },
    /// Always as many.
    Fixed([u32; 3]),
    /// As many as the position asks for, of so many heads each; if `is_cut` is said, only where the context is cut, or is
    /// not.
    Attend { attend: Attend, tuning: Tuning, heads_each: u32, is_cut: Option<bool> },
    /// Only if the context is cut.
    Combine(Attend, Tuning),
    /// For batches of some sizes alone, of which a workgroup takes `tile` tokens.
    Batch { batches: RangeInclusive<u32>, groups: u32, tile: u32 },
    /// Those of a command, for batches of some sizes alone.
    Within(RangeInclusive<u32>, Box<Size>),
}

impl Size {
    /// At a step; None if the dispatch is not needed.
    pub fn groups(&self, step: Step) -> Option<[u32; 3]> {
        match self {
            Self::Command { command, part_rows } => Some(groups(command, *part_rows, step.tokens)),
            Self::Fixed(groups) => Some(*groups),
            Self::Attend { attend, tuning, heads_each, is_cut } => {
                let splits = attend.splits(step, tuning.split_keys, tuning.splits_max);
                is_cut.is_none_or(|is_cut| is_cut == (splits > 1)).then(|| attend.groups(splits, *heads_each))
            }
            Self::Combine(attend, tuning) => {
                (attend.splits(step, tuning.split_keys, tuning.splits_max) > 1).then_some([attend.params.heads, 1, 1])
            }
            Self::Batch { batches, groups, tile } => {
                batches.contains(&step.tokens).then(|| [*groups, step.tokens.div_ceil(*tile), 1])
            }
            Self::Within(batches, size) => size.groups(step).filter(|_| batches.contains(&step.tokens)),
        }
    }
}

/// A dispatch before its buffers are bound.
pub struct Sketch {
    /// The shader.
    pub kernel: shader::Kernel,
    /// Of the weights that it reads.
    pub format: Option<Format>,
    /// How it reads them.
    pub reading: Reading,
    /// Its override constants.
    pub constants: Constants,
    /// The bytes of its `Params`.
    pub params: Vec<u8>,
    /// Its storage bindings.
    pub storage: Vec<wgpu::Buffer>,
    /// Its workgroups.
    pub size: Size,
}

impl Sketch {
    /// Its override constants, with those of the program's trellis if it reads one.
    pub fn with_code(self, code: Code) -> Self {
        if code == Code::default() || self.format.is_none_or(|format| format.trellis_bits().is_none()) {
            return self;
        }
        let mut constants = self.constants;
        constants.extend([("WINDOW_MASK", code.window_mask()), ("CODE_MASK", code.codebook.mask())]);
        Self { constants, ..self }
    }

    /// Which permutation of its shader it wants.
    pub fn variant(&self, pipelines: &Pipelines) -> Variant {
        pipelines.variant(self.kernel, self.format, self.reading)
    }
}

/// The dispatches of a command: one, or one for each part of its weights.
pub fn of_command(bench: &Bench<'_>, command: &Command) -> Vec<Sketch> {
    let weights = command.operands().into_iter().find(|id| bench.format(*id).is_some());
    let parts: Vec<Option<&Part>> = match weights {
        Some(id) => bench.buffers.parts(id).iter().map(Some).collect(),
        None => vec![None],
    };
    let sketch = |part: Option<&Part>| {
        let storage = command.operands().into_iter().filter_map(|id| match part {
            Some(part) if bench.format(id).is_some() => Some(part.buffer.clone()),
            _ => bench.buffers.whole(id).ok().cloned(),
        });
        Sketch {
            kernel: command.kernel(),
            format: weights.and_then(|id| bench.format(id)),
            reading: Reading::Narrow,
            constants: constants(command),
            params: part.map_or_else(|| params(command), |part| params_of_part(command, part)),
            storage: storage.collect(),
            size: Size::Command { command: command.clone(), part_rows: part.map_or(0, |part| part.rows as u32) },
        }
    };
    parts.into_iter().map(sketch).collect()
}

/// Of a command with a shader of its own.
fn constants(command: &Command) -> Constants {
    match command {
        Command::KvWrite(write) => vec![kv_constant(write.format)],
        Command::Attention(attention) => vec![kv_constant(attention.format)],
        _ => Constants::new(),
    }
}

/// How a cache is stored.
pub fn kv_constant(format: KvFormat) -> (&'static str, u32) {
    ("KV", format.number())
}

/// Of a command with weights, for a part of them.
fn params_of_part(command: &Command, part: &Part) -> Vec<u8> {
    use bytemuck::bytes_of;
    let Part { scales_word, .. } = *part;
    let (first_row, rows, base_row) = (part.first_row as u32, part.rows as u32, part.base_row as u32);
    match command {
        Command::Embed(embed) => {
            bytes_of(&shader::embed::Params { columns: embed.columns, first_row, rows, scales_word }).to_vec()
        }
        Command::Matvec(Matvec { columns, accumulate, .. }) => {
            let (columns, accumulate) = (*columns, u32::from(*accumulate));
            let params = shader::matvec::Params { columns, rows, first_row, scales_word, accumulate, base_row };
            bytes_of(&params).to_vec()
        }
        Command::Matmul(Matmul { columns, rows: out_columns, accumulate, .. }) => bytes_of(&shader::matmul::Params {
            columns: *columns,
            rows,
            first_row,
            scales_word,
            accumulate: u32::from(*accumulate),
            out_columns: *out_columns,
            base_row,
        })
        .to_vec(),
        Command::ExpertMatvec(command) => bytes_of(&shader::expert_matvec::Params {
            columns: command.columns,
            rows: command.rows,
            experts: command.experts,
            slots: command.slots,
            x_slots: command.x_slots(),
            part_first_row: first_row,
            part_rows: rows,
            scales_word,
        })
        .to_vec(),
        _ => params(command),
    }
}

/// Of a command without weights.
fn params(command: &Command) -> Vec<u8> {
    use bytemuck::bytes_of;
    match command {
        Command::RmsNorm(command) => bytes_of(&command.params),
        Command::Rope(command) => bytes_of(&command.params),
        Command::KvWrite(command) => bytes_of(&command.params),
        Command::Attention(command) => bytes_of(&command.params),
        Command::Gated(command) => bytes_of(&command.params),
        Command::AddBias(command) => bytes_of(&command.params),
        Command::Scale(command) => bytes_of(&command.params),
        Command::AddScaled(command) => bytes_of(&command.params),
        Command::Route(command) => bytes_of(&command.params),
        Command::Mix(command) => bytes_of(&command.params),
        Command::LastRow(command) => bytes_of(&command.params),
        Command::LayerNorm(command) => bytes_of(&command.params),
        Command::Gelu(command) => bytes_of(&command.params),
        Command::AddRows(command) => bytes_of(&command.params),
        Command::Peaks(command) => bytes_of(&command.params),
        Command::Choose(command) => bytes_of(&command.params),
        Command::Shortlist(command) => bytes_of(&command.params),
        Command::Rotate(command) => bytes_of(&command.params),
        Command::Embed(_) | Command::Matvec(_) | Command::Matmul(_) | Command::ExpertMatvec(_) => &[],
    }
    .to_vec()
}

/// The size of a command's dispatch.
fn groups(command: &Command, part_rows: u32, tokens: u32) -> [u32; 3] {
    match command {
        Command::Embed(command) => command.groups(tokens),
        Command::RmsNorm(command) => command.groups(tokens),
        Command::Matvec(_) => Matvec::groups(part_rows),
        Command::Matmul(_) => Matmul::groups(part_rows, tokens),
        Command::Rope(command) => command.groups(tokens),
        Command::KvWrite(command) => command.groups(tokens),
        Command::Attention(command) => command.groups(tokens),
        Command::Gated(command) => command.groups(tokens),
        Command::AddBias(command) => command.groups(tokens),
        Command::Scale(command) => command.groups(tokens),
        Command::AddScaled(command) => command.groups(tokens),
        Command::Route(command) => command.groups(tokens),
        Command::ExpertMatvec(command) => command.groups(tokens),
        Command::Mix(command) => command.groups(tokens),
        Command::LastRow(command) => command.groups(),
        Command::LayerNorm(command) => command.groups(tokens),
        Command::Gelu(command) => command.groups(tokens),
        Command::AddRows(command) => command.groups(tokens),
        Command::Peaks(command) => command.groups(),
        Command::Choose(command) => command.groups(),
        Command::Shortlist(command) => command.groups(),
        Command::Rotate(command) => command.groups(tokens),
    }
}
