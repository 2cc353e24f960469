//! Weights that come and go: whoever reads them is lent the very memory that products read from, so nothing is copied
//! and nothing is there twice.

use super::{
    CpuDevice,
    buffer::Buffer,
    storage::{Storage, fault},
};
use crate::{
    Result,
    device::{Ids, Work},
    file::Aligned,
    kernel::Step,
    plan::{Placement, Program, Segment},
    tensor::TensorId,
};

/// What comes and goes, and what is there.
#[derive(Default)]
pub struct Streaming {
    placement: Placement,
    /// Of each plan.
    segments: Vec<Vec<Segment>>,
    /// Which unit each slot holds.
    held: Vec<Option<usize>>,
}

impl Streaming {
    pub fn of(program: &Program, placement: &Placement) -> Self {
        let cut = |plan: &crate::plan::Plan| placement.cut(plan.commands.iter().map(crate::plan::Command::operands));
        Self {
            segments: program.plans.iter().map(cut).collect(),
            held: vec![None; placement.slots.len()],
            placement: placement.clone(),
        }
    }

    /// Refuses what would run a plan in one go.
    pub fn check_none(&self) -> Result<()> {
        if self.placement.streams() { Err(fault("weights come and go, so plans run in segments")) } else { Ok(()) }
    }

    fn slot(&self, unit: usize) -> Option<usize> {
        self.placement.places.get(unit).copied().flatten()
    }

    fn segment(&self, plan: usize, nth: usize) -> Option<&Segment> {
        self.segments.get(plan).and_then(|segments| segments.get(nth))
    }
}

impl CpuDevice {
    /// See [`crate::device::Device::segments`].
    pub fn segments(&self, plan: usize) -> &[Segment] {
        self.streaming.segments.get(plan).map_or(&[], Vec::as_slice)
    }

    /// See [`crate::device::Device::lend`].
    pub fn lend(&mut self, unit: usize) -> Result<Aligned> {
        let slot = self.streaming.slot(unit).ok_or_else(|| fault(format!("unit {unit} does not come and go")))?;
        self.streaming.held[slot] = None;
        Ok(self.storage.lend(slot).into_memory())
    }

    /// See [`crate::device::Device::install`].
    pub fn install(&mut self, unit: usize, memory: Aligned, is_filled: bool) -> Result<()> {
        let slot = self.streaming.slot(unit).ok_or_else(|| fault(format!("unit {unit} does not come and go")))?;
        let wanted = self.streaming.placement.slots.get(slot).copied().unwrap_or(0);
        if (memory.bytes().len() as u64) < wanted {
            return Err(fault(format!("unit {unit} came back in {} bytes instead of {wanted}", memory.bytes().len())));
        }
        self.storage.give_back(slot, Buffer::of(memory));
        if is_filled {
            let tensors: Vec<TensorId> =
                self.streaming.placement.units[unit].tensors.iter().map(|(id, _)| *id).collect();
            settle(&mut self.storage, self.workers.as_ref(), &tensors);
            self.streaming.held[slot] = Some(unit);
        }
        Ok(())
    }

    /// See [`crate::device::Device::begin`].
    pub fn begin(&mut self, work: &Work<'_>) -> Result<()> {
        let chosen = self.chosen();
        let ids = if let Ids::Given(ids) = work.ids { ids } else { &chosen };
        for plan in work.plans {
            self.check_step(*plan, work.step, ids)?;
        }
        self.storage.ids.clear();
        self.storage.ids.extend_from_slice(ids);
        Ok(())
    }

    /// See [`crate::device::Device::run_segment`].
    pub fn run_segment(&mut self, plan: usize, nth: usize, step: Step) -> Result<()> {
        let Some(Segment { items, unit }) = self.streaming.segment(plan, nth).cloned() else {
            return Err(fault(format!("plan {plan} has no segment {nth}")));
        };
        if let Some(unit) = unit {
            let slot = self.streaming.slot(unit);
            if slot.and_then(|slot| self.streaming.held.get(slot).copied().flatten()) != Some(unit) {
                return Err(fault(format!("unit {unit} is not there")));
            }
        }
        self.run_commands(plan, items, step, &mut |_| {})
    }
}

fn settle(storage: &mut Storage, workers: &dyn super::Workers, tensors: &[TensorId]) {
    for id in tensors {
        storage.settle(workers, *id);
    }
}
