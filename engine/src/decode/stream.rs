//! Steps of a model whose weights are not all on the device: each piece of a plan waits for what it needs, while what the
//! next ones need is read.

use std::{
    future::Future,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    Error, Result,
    device::{Device, Fetch, Work},
    file::{Aligned, BoxedFuture, ByteSource, Catalog, Filled, Piece},
    memory::Ring,
    model::WeightLoad,
    plan::{Placement, Program, TensorKind},
};

/// Whether to stop. Asked between the pieces of a step.
pub(super) type Stop<'a> = &'a dyn Fn() -> bool;

/// Pieces of one file.
type Read = (Rc<dyn ByteSource>, Vec<Piece>);

/// What has been read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Bytes of weights.
    pub bytes: u64,
    /// Units of weights.
    pub units: u64,
    /// How many of them were on their way before they were needed.
    pub ahead: u64,
}

/// Brings weights.
pub(super) struct Stream {
    placement: Placement,
    ring: Ring,
    /// Of each unit that comes and goes, where it is read.
    reads: Vec<Vec<Read>>,
    /// Of each unit, if it is on its way.
    coming: Vec<Option<Coming>>,
    counts: StreamCounts,
}

/// A unit on its way.
enum Coming {
    /// Somebody reads.
    Reading(BoxedFuture<'static, Filled>),
    /// It was there at once.
    Read(Filled),
}

impl Stream {
    /// For weights that are placed so.
    pub fn new(placement: Placement, program: &Program, catalog: &Catalog, loads: &[WeightLoad]) -> Result<Self> {
        let mut reads = vec![Vec::new(); placement.units.len()];
        for (unit, _) in placement.streamed() {
            for (id, at) in &placement.units[unit].tensors {
                let Some(load) = loads.iter().find(|load| load.id == *id) else { continue };
                let decl = program.tensor(*id);
                let TensorKind::Weight(format) = decl.kind else { continue };
                let row_bytes = format.row_bytes(decl.columns).unwrap_or(0);
                for component in &load.components {
                    let at = at + component.first_row * row_bytes;
                    reads[unit].push(read_of(catalog, &component.name, &component.rows, at)?);
                }
            }
        }
        let coming = reads.iter().map(|_| None).collect();
        Ok(Self { ring: Ring::new(&placement), placement, reads, coming, counts: StreamCounts::default() })
    }

    /// Where everything is kept.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// What has been read so far.
    pub fn counts(&self) -> StreamCounts {
        self.counts
    }

    /// Does what [`Device::submit`] does, piece by piece.
    pub async fn submit(&mut self, device: &mut Device, work: &Work<'_>, stop: Stop<'_>) -> Result<Option<Fetch>> {
        device.begin(work)?;
        for plan in work.plans {
            let units: Vec<Option<usize>> = device.segments(*plan).iter().map(|segment| segment.unit).collect();
            let sequence: Vec<usize> = units.iter().flatten().copied().collect();
            let mut at = 0;
            for (nth, unit) in units.into_iter().enumerate() {
                if stop() {
                    return Err(Error::Cancelled);
                }
                if let Some(unit) = unit {
                    self.bring(device, unit).await?;
                    self.read_ahead(device, &sequence, at)?;
                    at += 1;
                }
                device.run_segment(*plan, nth, work.step)?;
            }
        }
        match work.fetch.clone() {
            Some((id, elements)) => device.fetch(id, elements),
            None => Ok(None),
        }
    }

    /// Sees to it that a unit is there.
    async fn bring(&mut self, device: &mut Device, unit: usize) -> Result<()> {
        if self.ring.is_here(unit) {
            return Ok(());
        }
        // What is on its way into the same slot has its memory.
        if let Some(other) = self.ring.coming_into_slot_of(unit) {
            self.counts.ahead += u64::from(other == unit);
            self.take_in(device, other).await?;
        }
        if !self.ring.is_here(unit) {
            self.begin(device, unit)?;
            self.take_in(device, unit).await?;
        }
        Ok(())
    }

    /// Begins to read what comes next, as far as there are slots.
    fn read_ahead(&mut self, device: &mut Device, sequence: &[usize], at: usize) -> Result<()> {
        self.ring.ahead(sequence, at).into_iter().try_for_each(|unit| self.begin(device, unit))
    }

    /// Begins to read a unit.
    fn begin(&mut self, device: &mut Device, unit: usize) -> Result<()> {
        let memory = device.lend(unit)?;
        self.ring.begin(unit);
        let mut filling = Box::pin(fill(memory, self.reads[unit].clone()));
        // A source may begin only when it is first asked, as a page's fetch does.
        self.coming[unit] = Some(match filling.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(filled) => Coming::Read(filled),
            Poll::Pending => Coming::Reading(filling),
        });
        Ok(())
    }

    /// Waits for a unit that is on its way, and puts it on the device.
    async fn take_in(&mut self, device: &mut Device, unit: usize) -> Result<()> {
        // Whoever stops to wait here loses the memory that is on its way; so it stays where it is until it has come.
        let (memory, result) = match self.coming[unit].as_mut() {
            Some(Coming::Reading(filling)) => filling.await,
            _ => match self.coming[unit].take() {
                Some(Coming::Read(filled)) => filled,
                _ => return Err(Error::DeviceFault { reason: format!("unit {unit} is not on its way") }),
            },
        };
        self.coming[unit] = None;
        device.install(unit, memory, result.is_ok())?;
        match result {
            Ok(()) => self.ring.arrive(unit),
            Err(_) => self.ring.fail(unit),
        }
        self.counts.units += 1;
        let bytes =
            self.reads[unit].iter().flat_map(|(_, pieces)| pieces).map(|piece| piece.range.end - piece.range.start);
        self.counts.bytes += bytes.sum::<u64>();
        result
    }
}

/// Where some rows of a tensor are read, and where they go.
fn read_of(catalog: &Catalog, name: &str, rows: &std::ops::Range<u64>, at: u64) -> Result<Read> {
    let tensor = catalog.tensor(name)?;
    let missing = || Error::MissingTensor { tensor: name.to_owned() };
    let source = catalog.sources.get(tensor.source).cloned().ok_or_else(missing)?;
    let bytes = tensor.bytes_of_rows(rows).ok_or_else(missing)?;
    let range = tensor.offset_bytes + bytes.start..tensor.offset_bytes + bytes.end;
    let at = usize::try_from(at).map_err(|_| missing())?;
    Ok((source, vec![Piece { range, at }]))
}

/// Reads from one file after the other.
async fn fill(mut memory: Aligned, reads: Vec<Read>) -> Filled {
    for (source, pieces) in reads {
        let (back, result) = source.fill(memory, pieces).await;
        memory = back;
        if result.is_err() {
            return (memory, result);
        }
    }
    (memory, Ok(()))
}
