//! The memory behind a program's tensors. Weights keep the bits that a file stores, and there is no second copy of
//! them: a row is decoded where it is used, in registers, because reading memory is what a CPU's decode waits for.
//! What is multiplied in eight bits is interleaved on its way in.

use std::ops::Range;

use super::{
    Activations,
    buffer::Buffer,
    grouped::{Groups, XPart, layout},
    simd::ROWS,
};
use crate::{
    Error, Result,
    kernel::Matrix,
    plan::{Command, Program, Slots, TensorDecl, TensorKind},
    tensor::{Format, TensorId},
};

/// Where a tensor lies.
#[derive(Clone, Copy)]
enum Place {
    /// In `weights`.
    Weight { index: usize, format: Format, columns: usize },
    /// The same, with its rows interleaved.
    Groups { index: usize, format: Format, columns: usize, rows: usize },
    /// At the start of a buffer in `floats`, which scratch tensors share.
    Floats { index: usize, elements: usize },
    /// The step's token numbers.
    Tokens,
}

/// All memory of a program.
#[derive(Default)]
pub struct Storage {
    places: Vec<Place>,
    weights: Vec<Buffer>,
    floats: Vec<Buffer>,
    /// Of the current step.
    pub ids: Vec<u32>,
    /// Memory for activations of eight bits, kept from one product to the next.
    x_parts: Vec<XPart>,
}

impl Storage {
    /// Allocates everything, as zeros.
    pub fn new(program: &Program, activations: Activations) -> Result<Self> {
        let mut storage = Self::default();
        for (id, decl) in program.tensors.iter().enumerate() {
            let place = match decl.kind {
                TensorKind::Weight(format)
                    if activations == Activations::Int8 && can_interleave(program, TensorId(id as u32), format) =>
                {
                    storage.add_groups(decl, format)?
                }
                TensorKind::Weight(format) => storage.add_weight(decl, format)?,
                TensorKind::State => storage.add_floats(&decl.label, decl.elements(), decl.elements())?,
                TensorKind::Scratch | TensorKind::Tokens => Place::Tokens,
            };
            storage.places.push(place);
        }
        for slot in Slots::assign(program).slots {
            for (nth, id) in slot.tensors.iter().enumerate() {
                let elements = program.tensor(*id).elements();
                let place = match (nth, storage.places[slot.tensors[0].0 as usize]) {
                    (1.., Place::Floats { index, .. }) => Place::Floats { index, elements: elements as usize },
                    _ => storage.add_floats("scratch memory", slot.elements, elements)?,
                };
                storage.places[id.0 as usize] = place;
            }
        }
        Ok(storage)
    }

    /// Bytes of it all.
    pub fn allocated_bytes(&self) -> u64 {
        self.weights.iter().chain(&self.floats).map(|buffer| buffer.bytes().len() as u64).sum()
    }

    fn add_weight(&mut self, decl: &TensorDecl, format: Format) -> Result<Place> {
        self.weights.push(Buffer::zeroed(&decl.label, decl.bytes())?);
        Ok(Place::Weight { index: self.weights.len() - 1, format, columns: decl.columns as usize })
    }

    fn add_groups(&mut self, decl: &TensorDecl, format: Format) -> Result<Place> {
        let rows = decl.rows.next_multiple_of(ROWS as u64);
        self.weights.push(Buffer::zeroed(&decl.label, TensorDecl { rows, ..decl.clone() }.bytes())?);
        let (columns, rows) = (decl.columns as usize, decl.rows as usize);
        Ok(Place::Groups { index: self.weights.len() - 1, format, columns, rows })
    }

    fn add_floats(&mut self, what: &str, allocated: u64, elements: u64) -> Result<Place> {
        self.floats.push(Buffer::zeroed(what, allocated.saturating_mul(4))?);
        Ok(Place::Floats { index: self.floats.len() - 1, elements: elements as usize })
    }

    /// Fills some rows of a weight.
    pub fn upload(&mut self, program: &Program, id: TensorId, rows: Range<u64>, bytes: &[u8]) -> Result<()> {
        let (index, format, columns, interleaved) = match self.places.get(id.0 as usize) {
            Some(&Place::Weight { index, format, columns }) => (index, format, columns, false),
            Some(&Place::Groups { index, format, columns, .. }) => (index, format, columns, true),
            _ => return Err(fault(format!("tensor {} is not a weight", id.0))),
        };
        let decl = program.tensor(id);
        let row_bytes = columns / format.block_elements() * format.block_bytes();
        let count = rows.end.checked_sub(rows.start).filter(|_| rows.end <= decl.rows);
        if count.and_then(|count| count.checked_mul(row_bytes as u64)) != Some(bytes.len() as u64) {
            let (rows_declared, length) = (decl.rows, bytes.len());
            return Err(fault(format!(
                "{}: {length} bytes are not the rows {rows:?} of {rows_declared}, {row_bytes} bytes each",
                decl.label
            )));
        }
        if interleaved {
            for (row, bytes) in (rows.start as usize..).zip(bytes.chunks_exact(row_bytes)) {
                let group = &mut self.weights[index].bytes_mut()[row / ROWS * ROWS * row_bytes..][..ROWS * row_bytes];
                layout::insert(format, bytes, group, row % ROWS);
            }
            return Ok(());
        }
        let start = rows.start as usize * row_bytes;
        self.weights[index].bytes_mut()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Fills a part of a state.
    pub fn write(&mut self, id: TensorId, at: u64, values: &[f32]) -> Result<()> {
        let (index, range) = self.span(id, at..at.saturating_add(values.len() as u64))?;
        self.floats[index].floats_mut()[range].copy_from_slice(values);
        Ok(())
    }

    /// Copies a part of a state or a scratch tensor.
    pub fn read(&self, id: TensorId, elements: Range<u64>) -> Result<Vec<f32>> {
        let (index, range) = self.span(id, elements)?;
        Ok(self.floats[index].floats()[range].to_vec())
    }

    fn span(&self, id: TensorId, range: Range<u64>) -> Result<(usize, Range<usize>)> {
        match self.places.get(id.0 as usize) {
            Some(&Place::Floats { index, elements }) if range.start <= range.end && range.end <= elements as u64 => {
                Ok((index, range.start as usize..range.end as usize))
            }
            Some(Place::Floats { elements, .. }) => {
                Err(fault(format!("tensor {} has {elements} elements, not {range:?}", id.0)))
            }
            _ => Err(fault(format!("tensor {} is neither a state nor scratch memory", id.0))),
        }
    }

    /// A weight of a checked program whose rows are interleaved.
    pub fn groups(&self, id: TensorId) -> Option<Groups<'_>> {
        match self.places[id.0 as usize] {
            Place::Groups { index, format, columns, rows } => {
                Some(Groups { format, columns, rows, bytes: self.weights[index].bytes() })
            }
            _ => None,
        }
    }

    /// A weight of a checked program whose rows lie as they are stored.
    pub fn matrix(&self, id: TensorId) -> Matrix<'_> {
        match self.places[id.0 as usize] {
            Place::Weight { index, format, columns } => Matrix { format, columns, bytes: self.weights[index].bytes() },
            _ => Matrix { format: Format::F32, columns: 1, bytes: &[] },
        }
    }

    /// The numbers of a state or scratch tensor of a checked program; empty while they are [taken](Self::take).
    pub fn floats(&self, id: TensorId) -> &[f32] {
        match self.places[id.0 as usize] {
            Place::Floats { index, elements } => {
                let floats = self.floats[index].floats();
                &floats[..elements.min(floats.len())]
            }
            _ => &[],
        }
    }

    /// Takes a tensor's memory out, to be written while others are read, and puts it back.
    pub fn with_output(&mut self, id: TensorId, work: impl FnOnce(&Self, &mut [f32])) {
        if let Place::Floats { index, elements } = self.places[id.0 as usize] {
            let mut buffer = std::mem::take(&mut self.floats[index]);
            work(self, &mut buffer.floats_mut()[..elements]);
            self.floats[index] = buffer;
        }
    }

    /// The same, with memory for activations of eight bits.
    pub fn with_output_and_bytes(&mut self, id: TensorId, work: impl FnOnce(&Self, &mut [f32], &mut Vec<XPart>)) {
        let mut x_parts = std::mem::take(&mut self.x_parts);
        self.with_output(id, |from, out| work(from, out, &mut x_parts));
        self.x_parts = x_parts;
    }
}

/// Whether sixteen rows at a time can be interleaved: an expert's rows must be whole groups, so that it can be read
/// alone.
fn can_interleave(program: &Program, id: TensorId, format: Format) -> bool {
    let commands = program.plans.iter().flat_map(|plan| &plan.commands);
    let mut experts = commands.filter_map(|command| match command {
        Command::ExpertMatvec(matvec) if matvec.weights == id => Some(matvec.rows as usize),
        _ => None,
    });
    layout::exists(format) && experts.all(|rows| rows.is_multiple_of(ROWS))
}

/// A call that no engine should make.
pub fn fault(reason: impl Into<String>) -> Error {
    Error::DeviceFault { reason: reason.into() }
}
