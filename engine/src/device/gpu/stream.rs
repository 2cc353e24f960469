//! Weights that come and go through buffers that they share in turn. What a dispatch binds never changes: a unit always
//! comes into the same slot. The queue keeps uploads and submissions in order, so a slot is filled again only when what
//! was queued before has read it.

use std::collections::VecDeque;

use super::{Buffers, GpuDevice, readback};
use crate::{
    Error, Result,
    device::Work,
    file::Aligned,
    kernel::Step,
    plan::{Fusion, Placement, Program, Segment, TensorKind, Unit},
};

/// What comes and goes, and what is there.
#[derive(Default)]
pub struct Streaming {
    pub placement: Placement,
    /// Which unit each slot holds.
    held: Vec<Option<usize>>,
    /// Memory of the host to read into.
    spare: Vec<Aligned>,
    /// Segments that may still be running.
    submitted: VecDeque<wgpu::SubmissionIndex>,
}

impl Streaming {
    pub fn of(placement: &Placement) -> Self {
        Self { placement: placement.clone(), held: vec![None; placement.slots.len()], ..Self::default() }
    }

    fn slot(&self, unit: usize) -> Result<usize> {
        let slot = self.placement.places.get(unit).copied().flatten();
        slot.ok_or_else(|| fault(format!("unit {unit} does not come and go")))
    }
}

fn fault(reason: String) -> Error {
    Error::DeviceFault { reason }
}

impl GpuDevice {
    /// What can be done in one dispatch on this device.
    pub(super) fn fusion(&self, program: &Program) -> Fusion {
        let limit = self.max_binding_bytes;
        if self.fuses {
            Fusion::of(program, &|bytes, elements| Buffers::fits_one(bytes, elements, limit))
        } else {
            Fusion::none(program)
        }
    }

    /// See [`crate::device::Device::units`]: what lies in several buffers stays.
    pub fn units(&self, program: &Program) -> Vec<(Unit, bool)> {
        let units = Unit::all(program, &self.fusion(program).stacks);
        let stays = |unit: &Unit| {
            let elements = unit.tensors.iter().map(|(id, _)| program.tensor(*id).elements()).sum();
            !Buffers::fits_one(unit.bytes, elements, self.max_binding_bytes)
        };
        units.into_iter().map(|unit| (stays(&unit), unit)).map(|(stays, unit)| (unit, stays)).collect()
    }

    /// See [`crate::device::Device::segments`].
    pub fn segments(&self, plan: usize) -> &[Segment] {
        self.loaded.as_ref().map_or(&[], |loaded| loaded.replay.segments(plan))
    }

    /// Refuses what would run a plan in one go.
    pub(super) fn check_none_streams(&self) -> Result<()> {
        match &self.loaded {
            Some(loaded) if loaded.streaming.placement.streams() => {
                Err(fault("weights come and go, so plans run in segments".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// See [`crate::device::Device::lend`].
    pub fn lend(&mut self, unit: usize) -> Result<Aligned> {
        let streaming = &mut self.loaded.as_mut().ok_or(Error::NotLoaded)?.streaming;
        let slot = streaming.slot(unit)?;
        streaming.held[slot] = None;
        if let Some(memory) = streaming.spare.pop() {
            return Ok(memory);
        }
        let largest = streaming.placement.streamed().map(|(unit, _)| streaming.placement.units[unit].bytes).max();
        let requested_bytes = largest.unwrap_or(0);
        let memory = usize::try_from(requested_bytes).ok().and_then(|bytes| Aligned::zeroed(bytes, |_| {}));
        memory.ok_or_else(|| Error::OutOfMemory {
            what: "memory to read weights into".to_owned(),
            requested_bytes,
            available_bytes: 0,
        })
    }

    /// See [`crate::device::Device::install`].
    pub fn install(&mut self, unit: usize, memory: Aligned, is_filled: bool) -> Result<()> {
        self.faults.check()?;
        let Self { queue, loaded, .. } = self;
        let loaded = loaded.as_mut().ok_or(Error::NotLoaded)?;
        let slot = loaded.streaming.slot(unit)?;
        if is_filled {
            for (id, at) in &loaded.streaming.placement.units[unit].tensors {
                let stored = memory.bytes().get(usize::try_from(*at).unwrap_or(usize::MAX)..).unwrap_or_default();
                loaded.buffers.fill_weight(queue, *id, stored)?;
            }
            loaded.streaming.held[slot] = Some(unit);
        }
        loaded.streaming.spare.push(memory);
        Ok(())
    }

    /// See [`crate::device::Device::begin`].
    pub fn begin(&mut self, work: &Work<'_>) -> Result<()> {
        self.faults.check()?;
        self.loaded.as_ref().ok_or(Error::NotLoaded)?.replay.begin_pieces(&self.queue, work)
    }

    /// See [`crate::device::Device::run_segment`].
    pub fn run_segment(&mut self, plan: usize, nth: usize, step: Step) -> Result<()> {
        self.faults.check()?;
        let Self { device, queue, loaded, .. } = self;
        let loaded = loaded.as_mut().ok_or(Error::NotLoaded)?;
        let unit = loaded.replay.segments(plan).get(nth).and_then(|segment| segment.unit);
        if let Some(unit) = unit {
            let slot = loaded.streaming.slot(unit)?;
            if loaded.streaming.held[slot] != Some(unit) {
                return Err(fault(format!("unit {unit} is not there")));
            }
        }
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("segment") });
        loaded.replay.record_segment(&mut encoder, plan, nth, step);
        loaded.streaming.submitted.push_back(queue.submit([encoder.finish()]));
        // What is on its way to the GPU takes memory of its own until it is there: no more than the slots hold.
        while loaded.streaming.submitted.len() > loaded.streaming.placement.slots.len() + 1 {
            if let Some(submission) = loaded.streaming.submitted.pop_front() {
                readback::wait_for(device, submission);
            }
        }
        self.faults.check()
    }
}

impl Buffers {
    /// Bytes of a buffer for each slot: what the largest of its units takes here.
    pub fn slot_bytes(program: &Program, placement: &Placement) -> Vec<u64> {
        let mut slots = vec![0; placement.slots.len()];
        for (unit, slot) in placement.streamed() {
            let ids: Vec<_> = placement.units[unit].tensors.iter().map(|(id, _)| *id).collect();
            let is_weight = |id: &crate::tensor::TensorId| matches!(program.tensor(*id).kind, TensorKind::Weight(_));
            if let Some(bytes) = Some(ids).filter(|ids| ids.iter().all(is_weight)) {
                slots[slot] = Self::stack_bytes(program, &bytes).1.max(slots[slot]);
            }
        }
        slots
    }
}
