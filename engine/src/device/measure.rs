//! What a device tells about itself, to those who measure it: its memory, how fast that is, and the time of each
//! command. None of it takes part in running a model.

use super::{Device, cpu, gpu};
use crate::{
    Result,
    kernel::{Step, shader::Kernel},
    protocol::AdapterReport,
};

/// How long one command ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// What ran.
    pub kernel: Kernel,
    /// How long.
    pub ms: f64,
}

/// How memory is moved about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// From one half of the probe to the other.
    Copy,
    /// Read, and added up.
    Read,
}

/// Memory on a device that is there to be moved about.
pub enum MemoryProbe {
    /// Two buffers.
    Gpu(gpu::MemoryProbe),
    /// Two pieces of memory.
    Cpu(cpu::MemoryProbe),
}

impl MemoryProbe {
    /// Bytes of each half.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Gpu(probe) => probe.bytes(),
            Self::Cpu(probe) => probe.bytes(),
        }
    }

    /// Moves it so often, one time after the other, and returns when all of it has happened. Reading gives the sum of
    /// all words.
    pub async fn run(&mut self, traffic: Traffic, rounds: u32) -> Result<Option<u32>> {
        match self {
            Self::Gpu(probe) => probe.run(traffic, rounds).await,
            Self::Cpu(probe) => Ok(probe.run(traffic, rounds)),
        }
    }
}

impl Device {
    /// What the GPU is, if it is one.
    pub fn gpu_report(&self) -> Option<&AdapterReport> {
        match self {
            Self::Gpu(device) => Some(device.report()),
            Self::Cpu(_) => None,
        }
    }

    /// Memory that the program before takes here, as it was really allocated.
    pub fn allocated_bytes(&self) -> u64 {
        match self {
            Self::Gpu(device) => device.allocated_bytes(),
            Self::Cpu(device) => device.allocated_bytes(),
        }
    }

    /// Of that memory, what batches need besides the program's tensors.
    pub fn batch_bytes(&self) -> u64 {
        match self {
            Self::Gpu(device) => device.batch_bytes(),
            Self::Cpu(_) => 0,
        }
    }

    /// Memory to measure with, of about twice so many bytes: less if so much cannot be had, or bound at once.
    pub async fn memory_probe(&mut self, bytes: u64) -> Result<MemoryProbe> {
        Ok(match self {
            Self::Gpu(device) => MemoryProbe::Gpu(device.memory_probe(bytes).await?),
            Self::Cpu(device) => MemoryProbe::Cpu(device.memory_probe(bytes)?),
        })
    }

    /// [`Device::run`], and how long each command took: by the device's own clock if it is a GPU, and by the caller's if
    /// not. None if the GPU has no clock.
    pub async fn time_step(
        &mut self,
        plan: usize,
        step: Step,
        ids: &[u32],
        now_ms: &dyn Fn() -> f64,
    ) -> Result<Option<Vec<Timed>>> {
        match self {
            Self::Gpu(device) => device.time_step(plan, step, ids).await,
            Self::Cpu(device) => device.time_step(plan, step, ids, now_ms).map(Some),
        }
    }
}
