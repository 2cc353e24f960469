//! Weights that come and go: a plan runs segment by segment, and whoever brings the weights of the next one is lent the
//! memory for them. The order of calls for a step: [`Device::begin`], then for each of its [`Device::segments`] what the
//! segment needs ([`Device::lend`], [`Device::install`]) and [`Device::run_segment`]; last [`Device::fetch`].

use super::{Device, Fetch, Ids, Work};
use crate::{
    Result,
    file::Aligned,
    kernel::Step,
    plan::{Program, Segment, Unit},
    tensor::TensorId,
};

impl Device {
    /// The weights of a program in the units in which they can come and go here, in the order of a step; and of each
    /// whether it must stay.
    pub fn units(&self, program: &Program) -> Vec<(Unit, bool)> {
        match self {
            Self::Gpu(device) => device.units(program),
            Self::Cpu(_) => Unit::all(program, &[]).into_iter().map(|unit| (unit, false)).collect(),
        }
    }

    /// The pieces of a plan.
    pub fn segments(&self, plan: usize) -> &[Segment] {
        match self {
            Self::Gpu(device) => device.segments(plan),
            Self::Cpu(device) => device.segments(plan),
        }
    }

    /// Memory to read a unit into, as its matrices are stored, each where the unit says. What was in the unit's slot is
    /// gone then.
    pub fn lend(&mut self, unit: usize) -> Result<Aligned> {
        match self {
            Self::Gpu(device) => device.lend(unit),
            Self::Cpu(device) => device.lend(unit),
        }
    }

    /// Takes memory that was lent for a unit back. If it is filled, the unit is there from now on.
    pub fn install(&mut self, unit: usize, memory: Aligned, is_filled: bool) -> Result<()> {
        match self {
            Self::Gpu(device) => device.install(unit, memory, is_filled),
            Self::Cpu(device) => device.install(unit, memory, is_filled),
        }
    }

    /// Begins a step: hands over its numbers.
    pub fn begin(&mut self, work: &Work<'_>) -> Result<()> {
        match self {
            Self::Gpu(device) => device.begin(work),
            Self::Cpu(device) => device.begin(work),
        }
    }

    /// Runs a piece of a plan, which on a GPU means that it is queued.
    pub fn run_segment(&mut self, plan: usize, nth: usize, step: Step) -> Result<()> {
        match self {
            Self::Gpu(device) => device.run_segment(plan, nth, step),
            Self::Cpu(device) => device.run_segment(plan, nth, step),
        }
    }

    /// Begins to read what a step computed.
    pub fn fetch(&mut self, id: TensorId, elements: std::ops::Range<u64>) -> Result<Option<Fetch>> {
        self.submit(&Work { plans: &[], step: Step::default(), ids: Ids::Chosen, fetch: Some((id, elements)) })
    }
}
