//! The memory behind a program's tensors. Weights keep the bits that a file stores, and there is no second copy of
//! them: a row is decoded where it is used, in registers, because reading memory is what a CPU's decode waits for.
//! What is multiplied in eight bits is interleaved on its way in.

use std::ops::Range;

use super::{
    Activations, Workers,
    buffer::{Buffer, refusal},
    grouped::{Groups, XPart, activation_parts, can_interleave, layout, strips},
    parts,
    simd::ROWS,
    weights::{Span, Weights},
};
use crate::{
    Error, Result,
    kernel::Matrix,
    plan::{Placement, Program, Slots, TensorDecl, TensorKind},
    quant::trellis::Code,
    tensor::{Format, TensorId},
};

/// Bytes of weights whose interleaving is worth waking a worker for.
const SETTLE_BYTES: usize = 64 << 10;

/// Where a tensor lies.
#[derive(Clone, Copy)]
enum Place {
    /// In `weights`.
    Weight { span: Span, format: Format, columns: usize, rows: usize },
    /// The same, with its rows interleaved.
    Groups { span: Span, format: Format, columns: usize, rows: usize },
    /// At the start of a buffer in `floats`, which scratch tensors share.
    Floats { index: usize, elements: usize },
    /// The step's token numbers.
    Tokens,
}

/// All memory of a program.
#[derive(Default)]
pub struct Storage {
    places: Vec<Place>,
    weights: Weights,
    floats: Vec<Buffer>,
    /// Of the current step.
    pub ids: Vec<u32>,
    /// Memory for activations of eight bits: as much as any product of the program needs.
    x_parts: Vec<XPart>,
    /// How the windows of trellis weights are read.
    code: Code,
    /// Whether products take activations of eight bits where they can.
    int8: bool,
    /// The pieces of `weights` through which tensors come and go.
    pub slots: Vec<usize>,
    /// Bytes of slots that are lent.
    lent_bytes: u64,
}

impl Storage {
    /// Allocates everything, as zeros.
    pub fn new(
        workers: &dyn Workers,
        program: &Program,
        activations: Activations,
        placement: &Placement,
    ) -> Result<Self> {
        let int8 = activations == Activations::Int8;
        let mut storage = Self { code: program.code, int8, ..Self::default() };
        let interleaved = |id, format| int8 && can_interleave(program, id, format);
        let mut sizes = Vec::new();
        for (index, decl) in program.tensors.iter().enumerate() {
            if let TensorKind::Weight(format) = decl.kind
                && placement.unit_of(TensorId(index as u32)).is_none()
            {
                let unit = if interleaved(TensorId(index as u32), format) { ROWS as u64 } else { format.strip_rows() };
                let rows = decl.rows.checked_next_multiple_of(unit).unwrap_or(u64::MAX);
                sizes.push(format.row_bytes(decl.columns).unwrap_or(u64::MAX).saturating_mul(rows));
            }
        }
        let (weights, spans) = Weights::zeroed(workers, &sizes)?;
        storage.weights = weights;
        for bytes in &placement.slots {
            let piece = storage.weights.add_slot(workers, *bytes)?;
            storage.slots.push(piece);
        }
        let mut spans = spans.into_iter();
        if int8 {
            storage.x_parts = activation_memory(activation_parts(program))?;
        }
        for (id, decl) in program.tensors.iter().enumerate() {
            let (columns, rows) = (decl.columns as usize, decl.rows as usize);
            let place = match decl.kind {
                TensorKind::Weight(format) => {
                    let is_interleaved = interleaved(TensorId(id as u32), format);
                    let in_slot = storage.span_in_slot(placement, TensorId(id as u32), decl, is_interleaved);
                    let Some(span) = in_slot.or_else(|| spans.next()) else {
                        return Err(fault("a weight has no memory"));
                    };
                    if is_interleaved {
                        Place::Groups { span, format, columns, rows }
                    } else {
                        Place::Weight { span, format, columns, rows }
                    }
                }
                TensorKind::State => storage.add_floats(workers, &decl.label, decl.elements(), decl.elements())?,
                TensorKind::Scratch | TensorKind::Tokens => Place::Tokens,
            };
            storage.places.push(place);
        }
        for slot in Slots::assign(program).slots {
            for (nth, id) in slot.tensors.iter().enumerate() {
                let elements = program.tensor(*id).elements();
                let place = match (nth, storage.places[slot.tensors[0].0 as usize]) {
                    (1.., Place::Floats { index, .. }) => Place::Floats { index, elements: elements as usize },
                    _ => storage.add_floats(workers, "scratch memory", slot.elements, elements)?,
                };
                storage.places[id.0 as usize] = place;
            }
        }
        Ok(storage)
    }

    /// Where a tensor lies in its slot; None if it stays.
    fn span_in_slot(&self, placement: &Placement, id: TensorId, decl: &TensorDecl, groups: bool) -> Option<Span> {
        let TensorKind::Weight(format) = decl.kind else { return None };
        let (unit, start) = placement.unit_of(id)?;
        let piece = self.slots.get(placement.places.get(unit).copied()??)?;
        let rows = decl.rows.next_multiple_of(if groups { ROWS as u64 } else { format.strip_rows() });
        Some(Weights::span_in(*piece, start, format.row_bytes(decl.columns)? * rows))
    }

    /// Takes the memory of a slot, for others to read into.
    pub fn lend(&mut self, slot: usize) -> Buffer {
        let memory = self.slots.get(slot).map(|piece| self.weights.lend(*piece)).unwrap_or_default();
        self.lent_bytes += memory.bytes().len() as u64;
        memory
    }

    /// Puts the memory of a slot back.
    pub fn give_back(&mut self, slot: usize, memory: Buffer) {
        if let Some(piece) = self.slots.get(slot) {
            self.lent_bytes = self.lent_bytes.saturating_sub(memory.bytes().len() as u64);
            self.weights.give_back(*piece, memory);
        }
    }

    /// Makes of a matrix as a file stores it, which lies in its slot, what products want.
    pub fn settle(&mut self, workers: &dyn Workers, id: TensorId) {
        let Some(&Place::Groups { span, format, columns, rows }) = self.places.get(id.0 as usize) else { return };
        let group_bytes = ROWS * format.row_bytes(columns as u64).unwrap_or(0) as usize;
        let bytes = self.weights.bytes_mut(span);
        let groups = bytes.len() / group_bytes.max(1);
        let each = groups.div_ceil(parts::count(workers, bytes.len(), SETTLE_BYTES)).max(1);
        let pieces = bytes.chunks_mut(each * group_bytes).enumerate().collect();
        parts::each(workers, pieces, |(nth, piece): (usize, &mut [u8])| {
            let mut stored = Vec::new();
            for (group, bytes) in piece.chunks_exact_mut(group_bytes).enumerate() {
                let first_row = (nth * each + group) * ROWS;
                layout::interleave(format, bytes, rows.saturating_sub(first_row), &mut stored);
            }
        });
    }

    /// Bytes of it all.
    pub fn allocated_bytes(&self) -> u64 {
        let floats: u64 = self.floats.iter().map(|buffer| buffer.bytes().len() as u64).sum();
        self.weights.allocated_bytes()
            + self.lent_bytes
            + floats
            + (self.x_parts.capacity() * size_of::<XPart>()) as u64
    }

    fn add_floats(&mut self, workers: &dyn Workers, what: &str, allocated: u64, elements: u64) -> Result<Place> {
        self.floats.push(Buffer::zeroed(workers, what, allocated.saturating_mul(4))?);
        Ok(Place::Floats { index: self.floats.len() - 1, elements: elements as usize })
    }

    /// Fills some rows of a weight.
    pub fn upload(&mut self, program: &Program, id: TensorId, rows: Range<u64>, bytes: &[u8]) -> Result<()> {
        let (span, format, interleaved) = match self.places.get(id.0 as usize) {
            Some(&Place::Weight { span, format, .. }) => (span, format, false),
            Some(&Place::Groups { span, format, .. }) => (span, format, true),
            _ => return Err(fault(format!("tensor {} is not a weight", id.0))),
        };
        let decl = program.tensor(id);
        let row_bytes = format.row_bytes(decl.columns).unwrap_or(0) as usize;
        let strip = format.strip_rows();
        let is_whole = rows.start.is_multiple_of(strip) && (rows.end.is_multiple_of(strip) || rows.end == decl.rows);
        let end = rows.end.checked_next_multiple_of(strip).filter(|_| rows.end <= decl.rows && is_whole);
        let count = end.and_then(|end| end.checked_sub(rows.start));
        if count.and_then(|count| count.checked_mul(row_bytes as u64)) != Some(bytes.len() as u64) {
            let (rows_declared, length) = (decl.rows, bytes.len());
            return Err(fault(format!(
                "{}: {length} bytes are not the rows {rows:?} of {rows_declared}, {row_bytes} bytes each",
                decl.label
            )));
        }
        if interleaved {
            for (row, bytes) in (rows.start as usize..).zip(bytes.chunks_exact(row_bytes)) {
                let group = &mut self.weights.bytes_mut(span)[row / ROWS * ROWS * row_bytes..][..ROWS * row_bytes];
                layout::insert(format, bytes, group, row % ROWS);
            }
            return Ok(());
        }
        let start = rows.start as usize * row_bytes;
        self.weights.bytes_mut(span)[start..start + bytes.len()].copy_from_slice(bytes);
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
            Place::Groups { span, format, columns, rows } => {
                Some(Groups { format, columns, rows, bytes: self.weights.bytes(span) })
            }
            _ => None,
        }
    }

    /// A weight of a checked program that stands in strips, if one vector is multiplied with it in eight bits.
    pub fn strips(&self, id: TensorId) -> Option<Matrix<'_>> {
        let matrix = self.matrix(id);
        let fits = self.int8 && matrix.format.strip_bits().is_some() && strips::fits(matrix.columns);
        fits.then_some(matrix)
    }

    /// A weight of a checked program whose rows lie as they are stored.
    pub fn matrix(&self, id: TensorId) -> Matrix<'_> {
        match self.places[id.0 as usize] {
            Place::Weight { span, format, columns, rows } => {
                Matrix { format, rows, columns, bytes: self.weights.bytes(span), code: self.code }
            }
            _ => Matrix { format: Format::F32, rows: 0, columns: 1, bytes: &[], code: self.code },
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

/// Memory for so many parts of activations, all zeros.
fn activation_memory(parts: u64) -> Result<Vec<XPart>> {
    let refused = || refusal("activations of eight bits", parts.saturating_mul(size_of::<XPart>() as u64));
    let count = usize::try_from(parts).map_err(|_| refused())?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(count).map_err(|_| refused())?;
    Ok(memory)
}

/// A call that no engine should make.
pub fn fault(reason: impl Into<String>) -> Error {
    Error::DeviceFault { reason: reason.into() }
}
