//! A program's tensors as buffers. A matrix that passes the binding limit lies in several parts of whole rows.

use std::ops::Range;

use crate::{
    Error, Result,
    plan::{Placement, Program, Slots, TensorDecl, TensorKind},
    quant::{self, GpuLayout},
    tensor::{Format, TensorId},
};

/// After so many bytes handed to the queue they are sent on, so that staging memory stays small.
const FLUSH_BYTES: u64 = 32 << 20;

/// Elements that a shader can address with 32 bits, with room to spare.
const PART_ELEMENTS_MAX: u64 = 1 << 31;

/// What a buffer of several matrices holds besides their rows: a format's table of at most 2 KiB, and what fills up the
/// last words of its sections.
const STACK_SPARE_BYTES: u64 = 4096;

/// Some rows of a matrix.
pub struct Part {
    /// The format's table, if it has one, all numbers of the rows, then from `scales_word` on their scales, if the format
    /// has any.
    pub buffer: wgpu::Buffer,
    /// The first row, in the matrix.
    pub first_row: u64,
    /// How many rows.
    pub rows: u64,
    /// Where the scales begin, in words of 4 bytes.
    pub scales_word: u32,
    /// Rows of other matrices in front of these.
    pub base_row: u64,
}

/// A tensor on the device.
enum Stored {
    /// F32 or U32.
    Whole(wgpu::Buffer),
    /// A matrix of weights.
    Parts { parts: Vec<Part>, format: Format, columns: u64, rows: u64 },
}

/// All tensors of a program.
pub struct Buffers {
    tensors: Vec<Stored>,
    unflushed_bytes: u64,
}

impl Buffers {
    /// Allocates every tensor. Whether memory sufficed shows in the caller's error scope. Each of `stacks` is put into one
    /// buffer, one matrix below the other.
    pub fn allocate(
        device: &wgpu::Device,
        program: &Program,
        stacks: &[Vec<TensorId>],
        placement: &Placement,
        max_binding_bytes: u64,
    ) -> Result<Self> {
        let mut scratch = vec![None; program.tensors.len()];
        for slot in Slots::assign(program).slots {
            check_binding("scratch memory", slot.elements * 4, max_binding_bytes)?;
            let buffer = storage(device, "scratch", slot.elements * 4);
            for id in slot.tensors {
                scratch[id.0 as usize] = Some(buffer.clone());
            }
        }
        let mut stacked: Vec<Option<Part>> = (0..program.tensors.len()).map(|_| None).collect();
        let slots = Self::slot_bytes(program, placement);
        let slots: Vec<wgpu::Buffer> = slots.into_iter().map(|bytes| storage(device, "slot", bytes)).collect();
        let streamed = placement.streamed().map(|(unit, slot)| {
            let ids = placement.units[unit].tensors.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            (ids, Some(slots[slot].clone()))
        });
        let stays = |stack: &&Vec<TensorId>| stack.iter().all(|id| placement.unit_of(*id).is_none());
        let stay = stacks.iter().filter(stays).map(|stack| (stack.clone(), None));
        for (stack, slot) in streamed.chain(stay) {
            let (scales_at, bytes) = Self::stack_bytes(program, &stack);
            let label = stack.first().map_or("", |id| program.tensor(*id).label.as_str());
            let buffer = slot.unwrap_or_else(|| storage(device, label, bytes));
            for (id, part) in stack.iter().zip(stack_parts(program, &stack, &buffer, scales_at)) {
                stacked[id.0 as usize] = Some(part);
            }
        }
        let mut tensors = Vec::with_capacity(program.tensors.len());
        for ((tensor, scratch), stacked) in program.tensors.iter().zip(scratch).zip(stacked) {
            tensors.push(match (tensor.kind, scratch) {
                (TensorKind::Weight(format), _) if stacked.is_some() => {
                    let parts = stacked.into_iter().collect();
                    Stored::Parts { parts, format, columns: tensor.columns, rows: tensor.rows }
                }
                (TensorKind::Weight(format), _) => {
                    let parts = parts(device, tensor, format, max_binding_bytes)?;
                    Stored::Parts { parts, format, columns: tensor.columns, rows: tensor.rows }
                }
                (_, Some(buffer)) => Stored::Whole(buffer),
                (_, None) => {
                    check_binding(&tensor.label, tensor.bytes(), max_binding_bytes)?;
                    Stored::Whole(storage(device, &tensor.label, tensor.bytes()))
                }
            });
        }
        Ok(Self { tensors, unflushed_bytes: 0 })
    }

    /// Whether matrices of so many bytes and elements can lie in one buffer.
    pub fn fits_one(bytes: u64, elements: u64, max_binding_bytes: u64) -> bool {
        bytes.saturating_add(STACK_SPARE_BYTES) <= max_binding_bytes && elements <= PART_ELEMENTS_MAX
    }

    /// Bytes that a program takes on a device.
    pub fn bytes(program: &Program, placement: &Placement) -> u64 {
        let kept = program.tensors.iter().filter(|tensor| tensor.kind != TensorKind::Scratch).map(TensorDecl::bytes);
        let all = kept.sum::<u64>() + Slots::assign(program).bytes() + placement.slots_bytes();
        all.saturating_sub(placement.streamed_bytes())
    }

    /// Where the scales begin in a buffer of such matrices, one below the other, and how long it is.
    pub fn stack_bytes(program: &Program, stack: &[TensorId]) -> (u64, u64) {
        let Some(first) = stack.first().map(|id| program.tensor(*id)) else { return (0, 0) };
        let TensorKind::Weight(format) = first.kind else { return (0, 0) };
        let layout = RowLayout::of(format, first.columns);
        let stored_rows = |id: &TensorId| program.tensor(*id).rows.next_multiple_of(format.strip_rows());
        let all_rows: u64 = stack.iter().map(stored_rows).sum();
        let scales_at = (layout.table_bytes() + layout.quants_bytes * all_rows).next_multiple_of(4);
        (scales_at, scales_at + (layout.scales_bytes * all_rows).next_multiple_of(4))
    }

    /// Bytes of all buffers, those that scratch tensors share counted once.
    pub fn allocated_bytes(&self) -> u64 {
        let buffers = self.tensors.iter().flat_map(|stored| match stored {
            Stored::Whole(buffer) => vec![buffer],
            Stored::Parts { parts, .. } => parts.iter().map(|part| &part.buffer).collect(),
        });
        let mut each_once: Vec<&wgpu::Buffer> = buffers.collect();
        each_once.sort_unstable();
        each_once.dedup();
        each_once.into_iter().map(wgpu::Buffer::size).sum()
    }

    /// The buffer of a tensor that is not a matrix of weights.
    pub fn whole(&self, id: TensorId) -> Result<&wgpu::Buffer> {
        match self.tensors.get(id.0 as usize) {
            Some(Stored::Whole(buffer)) => Ok(buffer),
            _ => Err(Error::invalid("tensor", format!("%{} is not a state of this program", id.0))),
        }
    }

    /// The parts of a matrix of weights; none for other tensors.
    pub fn parts(&self, id: TensorId) -> &[Part] {
        match &self.tensors[id.0 as usize] {
            Stored::Parts { parts, .. } => parts,
            Stored::Whole(_) => &[],
        }
    }

    /// See [`crate::device::Device::upload`].
    pub fn upload(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        id: TensorId,
        rows: Range<u64>,
        bytes: &[u8],
    ) -> Result<()> {
        let Some(Stored::Parts { parts, format, columns, rows: all_rows }) = self.tensors.get(id.0 as usize) else {
            return Err(Error::invalid("tensor", format!("%{} is not a weight of this program", id.0)));
        };
        let row_bytes = format.row_bytes(*columns).unwrap_or(0);
        // The last strip comes with the rows that fill it up.
        let strip = format.strip_rows();
        let is_whole = rows.end.is_multiple_of(strip) || rows.end == *all_rows;
        let end_stored = rows.end.saturating_add(strip - 1) / strip * strip;
        let count = end_stored.saturating_sub(rows.start);
        if !is_whole
            || rows.end > *all_rows
            || !rows.start.is_multiple_of(TensorKind::Weight(*format).rows_together())
            || bytes.len() as u64 != count * row_bytes
        {
            return Err(Error::invalid("rows", format!("{rows:?} with {} bytes do not fit %{}", bytes.len(), id.0)));
        }
        put(queue, (parts, *format, *columns), rows.start..end_stored, bytes);
        self.unflushed_bytes += bytes.len() as u64;
        if self.unflushed_bytes >= FLUSH_BYTES {
            self.unflushed_bytes = 0;
            queue.submit([]);
            super::readback::wait(device);
        }
        Ok(())
    }

    /// Fills a whole matrix that comes and goes; behind its rows there may be more.
    pub fn fill_weight(&self, queue: &wgpu::Queue, id: TensorId, stored: &[u8]) -> Result<()> {
        let Some(Stored::Parts { parts, format, columns, rows }) = self.tensors.get(id.0 as usize) else {
            return Err(Error::invalid("tensor", format!("%{} is not a weight of this program", id.0)));
        };
        let stored_rows = rows.next_multiple_of(format.strip_rows());
        let wanted = stored_rows.saturating_mul(format.row_bytes(*columns).unwrap_or(0));
        let bytes = usize::try_from(wanted).ok().and_then(|wanted| stored.get(..wanted));
        let bytes = bytes.ok_or_else(|| Error::invalid("rows", format!("of %{} are missing", id.0)))?;
        put(queue, (parts, *format, *columns), 0..stored_rows, bytes);
        Ok(())
    }
}

/// Puts some rows where they belong, as the device wants them.
fn put(queue: &wgpu::Queue, (parts, format, columns): (&[Part], Format, u64), rows: Range<u64>, bytes: &[u8]) {
    let (strip, row_bytes) = (format.strip_rows(), format.row_bytes(columns).unwrap_or(0));
    for part in parts {
        let start = rows.start.max(part.first_row);
        let end = rows.end.min(part.first_row + part.rows.next_multiple_of(strip));
        if start >= end {
            continue;
        }
        let from = ((start - rows.start) * row_bytes) as usize;
        let packed = quant::repack(format, columns as usize, &bytes[from..from + ((end - start) * row_bytes) as usize]);
        let row = part.base_row + start - part.first_row;
        let layout = RowLayout::of(format, columns);
        if row == 0 {
            write(queue, &part.buffer, 0, bytemuck::cast_slice(layout.table).to_vec());
        }
        write(queue, &part.buffer, layout.table_bytes() + row * layout.quants_bytes, packed.quants);
        write(queue, &part.buffer, u64::from(part.scales_word) * 4 + row * layout.scales_bytes, packed.scales);
    }
}

/// Writes bytes, filled up to whole words: the queue takes nothing less. Only a matrix's last row ends off a word, and
/// its part has room for the filling.
fn write(queue: &wgpu::Queue, buffer: &wgpu::Buffer, at: u64, mut bytes: Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    queue.write_buffer(buffer, at, &bytes);
}

/// How a matrix lies on the device.
struct RowLayout {
    /// In front of each part's rows.
    table: &'static [u16],
    /// Bytes of a row's numbers.
    quants_bytes: u64,
    /// Bytes of a row's scales.
    scales_bytes: u64,
}

impl RowLayout {
    fn of(format: Format, columns: u64) -> Self {
        let layout = GpuLayout::of(format);
        let blocks = columns / format.block_elements() as u64;
        Self {
            table: layout.table,
            quants_bytes: blocks * layout.quant_bytes as u64,
            scales_bytes: blocks * layout.scale_bytes() as u64 + format.row_scale_bytes(),
        }
    }

    fn table_bytes(&self) -> u64 {
        size_of_val(self.table) as u64
    }
}

fn parts(device: &wgpu::Device, tensor: &TensorDecl, format: Format, max_binding_bytes: u64) -> Result<Vec<Part>> {
    let layout = RowLayout::of(format, tensor.columns);
    let row_bytes = layout.quants_bytes + layout.scales_bytes;
    // Besides rows: the table, and what fills up the last words of both sections.
    let other_bytes = layout.table_bytes() + 8;
    // A multiple of so many rows that every part's scales begin on a whole word, and its strips are whole.
    let unit = TensorKind::Weight(format).rows_together();
    let rows_max = (max_binding_bytes.saturating_sub(other_bytes) / row_bytes).min(PART_ELEMENTS_MAX / tensor.columns)
        / unit
        * unit;
    if rows_max == 0 {
        check_binding(
            &tensor.label,
            tensor.rows.min(unit).next_multiple_of(format.strip_rows()) * row_bytes + other_bytes,
            max_binding_bytes,
        )?;
    }
    let rows_max = rows_max.max(unit);
    let mut parts = Vec::new();
    let mut first_row = 0;
    while first_row < tensor.rows {
        let rows = rows_max.min(tensor.rows - first_row);
        let stored_rows = rows.next_multiple_of(format.strip_rows());
        let scales_at = (layout.table_bytes() + layout.quants_bytes * stored_rows).next_multiple_of(4);
        let bytes = scales_at + (layout.scales_bytes * stored_rows).next_multiple_of(4);
        let buffer = storage(device, &tensor.label, bytes);
        parts.push(Part { buffer, first_row, rows, scales_word: (scales_at / 4) as u32, base_row: 0 });
        first_row += rows;
    }
    Ok(parts)
}

/// Matrices one below the other in one buffer, as one part each: the numbers of all, then the scales of all.
fn stack_parts(program: &Program, stack: &[TensorId], buffer: &wgpu::Buffer, scales_at: u64) -> Vec<Part> {
    let mut base_row = 0;
    let part = |id: &TensorId| {
        let rows = program.tensor(*id).rows;
        let scales_word = (scales_at / 4) as u32;
        let part = Part { buffer: buffer.clone(), first_row: 0, rows, scales_word, base_row };
        base_row += rows;
        part
    };
    stack.iter().map(part).collect()
}

/// A buffer that shaders may use.
pub fn storage(device: &wgpu::Device, label: &str, bytes: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.next_multiple_of(16).max(16),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}

fn check_binding(label: &str, bytes: u64, max_binding_bytes: u64) -> Result<()> {
    if bytes <= max_binding_bytes {
        return Ok(());
    }
    Err(Error::OutOfMemory {
        what: format!("one buffer of the GPU ({label})"),
        requested_bytes: bytes,
        available_bytes: max_binding_bytes,
    })
}

/// Whether `count` elements of 4 bytes from `at` on lie within the buffer.
pub fn check_range(buffer: &wgpu::Buffer, at: u64, count: u64) -> Result<()> {
    let end = at.checked_add(count).and_then(|end| end.checked_mul(4));
    if end.is_none_or(|end| end > buffer.size()) {
        return Err(Error::invalid("elements", format!("{count} from {at} on lie beyond the tensor")));
    }
    Ok(())
}
