//! A recorded list of commands on tensor ids. A model records one once; a device replays it for every step.

mod dump;
mod fuse;
mod lifetime;
mod placement;

pub use fuse::{Block, Fused, Fusion};
pub use lifetime::{Slot, Slots};
pub use placement::{Placement, Segment, Unit};

use std::collections::BTreeSet;

use crate::{
    kernel::{
        AddBias, AddRows, AddScaled, Attention, Choose, Embed, ExpertMatvec, Gated, Gelu, KvWrite, LastRow, LayerNorm,
        Matmul, Matvec, Mix, Operands, Peaks, RmsNorm, Rope, Rotate, Route, Scale, Shortlist, shader::Kernel,
    },
    quant::trellis::Code,
    tensor::{Format, TensorId},
};

/// Why a tensor exists, and so how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// A matrix of weights, stored in this format on the device too.
    Weight(Format),
    /// F32 that outlives a step: a norm's weights, a cache, a table, the logits.
    State,
    /// F32 that only lives between some commands of a plan; such tensors share memory.
    Scratch,
    /// U32: the token numbers of the step.
    Tokens,
}

impl TensorKind {
    /// Matrices of so many rows, or a multiple, can lie one below the other: the rows end on a whole word and strip.
    pub fn rows_together(self) -> u64 {
        match self {
            Self::Weight(format) => format.strip_rows().max(4),
            _ => 4,
        }
    }
}

/// A tensor of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDecl {
    /// For dumps and errors; for weights and norms the name in the catalog.
    pub label: String,
    /// Why it exists.
    pub kind: TensorKind,
    /// Rows.
    pub rows: u64,
    /// Length of a row.
    pub columns: u64,
}

impl TensorDecl {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.rows * self.columns
    }

    /// Bytes that it takes as stored; on a device a little padding may be added.
    pub fn bytes(&self) -> u64 {
        match self.kind {
            TensorKind::Weight(format) => format.rows_bytes(self.rows, self.columns).unwrap_or(0),
            TensorKind::State | TensorKind::Scratch | TensorKind::Tokens => self.elements() * 4,
        }
    }
}

/// The tensors that a model computes with, and the plans that run on them.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// By [`TensorId`].
    pub tensors: Vec<TensorDecl>,
    /// What can be run.
    pub plans: Vec<Plan>,
    /// How the windows of all its trellis weights are read.
    pub code: Code,
}

/// A list of commands for batches of up to `tokens_max` tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// "decode", "prefill", ...
    pub name: String,
    /// The largest batch.
    pub tokens_max: u32,
    /// In order.
    pub commands: Vec<Command>,
}

/// One kernel on some tensors.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is explained where it is defined")]
pub enum Command {
    Embed(Embed),
    RmsNorm(RmsNorm),
    Matvec(Matvec),
    Matmul(Matmul),
    Rope(Rope),
    KvWrite(KvWrite),
    Attention(Attention),
    Gated(Gated),
    AddBias(AddBias),
    Scale(Scale),
    AddScaled(AddScaled),
    Route(Route),
    ExpertMatvec(ExpertMatvec),
    Mix(Mix),
    LastRow(LastRow),
    LayerNorm(LayerNorm),
    Gelu(Gelu),
    AddRows(AddRows),
    Peaks(Peaks),
    Choose(Choose),
    Shortlist(Shortlist),
    Rotate(Rotate),
}

impl Command {
    /// Its shader.
    pub fn kernel(&self) -> Kernel {
        match self {
            Self::Embed(_) => Kernel::Embed,
            Self::RmsNorm(_) => Kernel::RmsNorm,
            Self::Matvec(_) => Kernel::Matvec,
            Self::Matmul(_) => Kernel::Matmul,
            Self::Rope(_) => Kernel::Rope,
            Self::KvWrite(_) => Kernel::KvWrite,
            Self::Attention(_) => Kernel::Attention,
            Self::Gated(_) => Kernel::Gated,
            Self::AddBias(_) => Kernel::AddBias,
            Self::Scale(_) => Kernel::Scale,
            Self::AddScaled(_) => Kernel::AddScaled,
            Self::Route(_) => Kernel::Route,
            Self::ExpertMatvec(_) => Kernel::ExpertMatvec,
            Self::Mix(_) => Kernel::Mix,
            Self::LastRow(_) => Kernel::LastRow,
            Self::LayerNorm(_) => Kernel::LayerNorm,
            Self::Gelu(_) => Kernel::Gelu,
            Self::AddRows(_) => Kernel::AddRows,
            Self::Peaks(_) => Kernel::Peaks,
            Self::Choose(_) => Kernel::Choose,
            Self::Shortlist(_) => Kernel::Shortlist,
            Self::Rotate(_) => Kernel::Rotate,
        }
    }

    /// The tensors that it touches, in the order of its shader's bindings.
    pub fn operands(&self) -> Operands {
        match self {
            Self::Embed(command) => command.operands(),
            Self::RmsNorm(command) => command.operands(),
            Self::Matvec(command) => command.operands(),
            Self::Matmul(command) => command.operands(),
            Self::Rope(command) => command.operands(),
            Self::KvWrite(command) => command.operands(),
            Self::Attention(command) => command.operands(),
            Self::Gated(command) => command.operands(),
            Self::AddBias(command) => command.operands(),
            Self::Scale(command) => command.operands(),
            Self::AddScaled(command) => command.operands(),
            Self::Route(command) => command.operands(),
            Self::ExpertMatvec(command) => command.operands(),
            Self::Mix(command) => command.operands(),
            Self::LastRow(command) => command.operands(),
            Self::LayerNorm(command) => command.operands(),
            Self::Gelu(command) => command.operands(),
            Self::AddRows(command) => command.operands(),
            Self::Peaks(command) => command.operands(),
            Self::Choose(command) => command.operands(),
            Self::Shortlist(command) => command.operands(),
            Self::Rotate(command) => command.operands(),
        }
    }
}

impl Program {
    /// Adds a tensor.
    pub fn declare(&mut self, label: impl Into<String>, kind: TensorKind, rows: u64, columns: u64) -> TensorId {
        self.tensors.push(TensorDecl { label: label.into(), kind, rows, columns });
        TensorId(self.tensors.len() as u32 - 1)
    }

    /// The tensors in which keys and values are kept from step to step.
    pub fn caches(&self) -> BTreeSet<TensorId> {
        let commands = self.plans.iter().flat_map(|plan| &plan.commands);
        commands
            .filter_map(|command| if let Command::KvWrite(write) = command { Some(write.cache) } else { None })
            .collect()
    }

    /// How the weights that a command reads are stored; None if it reads none.
    pub fn weights_format(&self, command: &Command) -> Option<Format> {
        command.operands().into_iter().find_map(|id| match self.tensor(id).kind {
            TensorKind::Weight(format) => Some(format),
            _ => None,
        })
    }

    /// The tensor of that id.
    pub fn tensor(&self, id: TensorId) -> &TensorDecl {
        &self.tensors[id.0 as usize]
    }
}
