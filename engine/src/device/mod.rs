//! What runs a program: a GPU through wgpu, native or in a browser, or a CPU. Neither knows what a layer, a head or a
//! token's meaning is.

pub mod cpu;
pub mod gpu;
mod measure;
mod stream;

pub use cpu::{CpuDevice, Crew, Serial, SimdLevel, Workers};
pub use gpu::{AttentionKind, CoopTile, GpuDevice, GpuFetch, GpuOptions, MatmulKind, PageAdapter, TileEncoder};
pub use measure::{MemoryProbe, Timed, Traffic};

use std::ops::Range;

use crate::{
    Result,
    kernel::Step,
    plan::{Placement, Program},
    tensor::TensorId,
};

/// [`Device::upload`] begins at a multiple of so many rows: with so many, what even the smallest scales take is whole
/// words of 4 bytes. Rows that stand in strips come in whole strips.
pub const UPLOAD_ROWS: u64 = 4;

/// The token numbers of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids<'a> {
    /// These.
    Given(&'a [u32]),
    /// The one that a [`Choose`](crate::kernel::Choose) of the work before left on the device.
    Chosen,
}

/// Plans to replay one after the other, in one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work<'a> {
    /// Which.
    pub plans: &'a [usize],
    /// For all of them.
    pub step: Step,
    /// For all of them.
    pub ids: Ids<'a>,
    /// What to read when they are done.
    pub fetch: Option<(TensorId, Range<u64>)>,
}

/// Numbers on their way from a device.
#[allow(clippy::large_enum_variant, reason = "a handful of them")]
pub enum Fetch {
    /// Still being computed.
    Gpu(GpuFetch),
    /// They are here.
    Ready(Vec<f32>),
}

impl Fetch {
    /// Waits for them, but for no work that was submitted later.
    pub async fn wait(self) -> Result<Vec<f32>> {
        match self {
            Self::Gpu(fetch) => fetch.wait().await,
            Self::Ready(values) => Ok(values),
        }
    }
}

/// Of a batch of a prompt on a CPU.
pub const CPU_PREFILL_TOKENS: u32 = 128;

/// A device with a program on it.
///
/// The order of calls: [`Self::prepare`] once; [`Self::upload`] and [`Self::write`] until every weight and state is
/// filled; then [`Self::run`] and [`Self::read`] as often as wanted.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
pub enum Device {
    /// wgpu.
    Gpu(GpuDevice),
    /// SIMD and threads.
    Cpu(CpuDevice),
}

impl Device {
    /// What it is, for a person: a GPU's name, or a CPU's SIMD level and threads.
    pub fn name(&self) -> String {
        match self {
            Self::Gpu(device) => device.name(),
            Self::Cpu(device) => device.name(),
        }
    }

    /// Tokens of a prompt that it should be given at once, at most: what keeps it busy, and still lets it stop in time.
    pub fn prefill_tokens(&self) -> u32 {
        match self {
            Self::Gpu(device) => device.prefill_tokens(),
            Self::Cpu(_) => CPU_PREFILL_TOKENS,
        }
    }

    /// Allocates every tensor of the program and compiles what its plans need. States begin as zeros.
    pub async fn prepare(&mut self, program: &Program) -> Result<()> {
        self.prepare_placed(program, &Placement::default()).await
    }

    /// The same, with weights that come and go as is said.
    pub async fn prepare_placed(&mut self, program: &Program, placement: &Placement) -> Result<()> {
        match self {
            Self::Gpu(device) => device.prepare_placed(program, placement).await,
            Self::Cpu(device) => device.prepare_placed(program, placement),
        }
    }

    /// Puts some rows of a weight on the device, as they are stored in a file. Rows come in any order, but begin at a
    /// multiple of [`UPLOAD_ROWS`].
    pub fn upload(&mut self, id: TensorId, rows: Range<u64>, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Gpu(device) => device.upload(id, rows, bytes),
            Self::Cpu(device) => device.upload(id, rows, bytes),
        }
    }

    /// Fills a state, from element `at` on.
    pub fn write(&mut self, id: TensorId, at: u64, values: &[f32]) -> Result<()> {
        match self {
            Self::Gpu(device) => device.write(id, at, values),
            Self::Cpu(device) => device.write(id, at, values),
        }
    }

    /// Replays a plan. `ids` are the step's token numbers. Returns when the work is queued, which on a CPU is when it
    /// is done.
    pub fn run(&mut self, plan: usize, step: Step, ids: &[u32]) -> Result<()> {
        self.submit(&Work { plans: &[plan], step, ids: Ids::Given(ids), fetch: None }).map(|_| ())
    }

    /// Replays plans and begins to read what they computed, if the work says so. Returns when it is queued, which on a
    /// CPU is when it is done.
    pub fn submit(&mut self, work: &Work<'_>) -> Result<Option<Fetch>> {
        match self {
            Self::Gpu(device) => Ok(device.submit(work)?.map(Fetch::Gpu)),
            Self::Cpu(device) => {
                let chosen = device.chosen();
                let ids = if let Ids::Given(ids) = work.ids { ids } else { &chosen };
                for plan in work.plans {
                    device.run(*plan, work.step, ids)?;
                }
                let Some((id, elements)) = work.fetch.clone() else { return Ok(None) };
                device.read(id, elements).map(|values| Some(Fetch::Ready(values)))
            }
        }
    }

    /// Reads elements of a state or a scratch tensor, after all work queued so far.
    pub async fn read(&mut self, id: TensorId, elements: Range<u64>) -> Result<Vec<f32>> {
        match self {
            Self::Gpu(device) => device.read(id, elements).await,
            Self::Cpu(device) => device.read(id, elements),
        }
    }
}
