//! A GPU through wgpu: the same code natively and in a browser.

mod adapter;
mod bandwidth;
mod batch;
mod buffers;
mod cache;
mod dispatch;
mod encoder;
mod fault;
mod fill;
mod fused;
mod matrices;
mod page;
mod pipelines;
mod profile;
mod readback;
mod replay;
mod stream;
mod strips;
mod tuning;

pub use bandwidth::MemoryProbe;
pub use batch::{AttentionKind, CoopTile, MatmulKind};
pub use encoder::TileEncoder;
pub use page::PageAdapter;

use std::ops::Range;

use super::{Ids, Work};
use crate::{
    Error, Result,
    kernel::{Step, shader::Kernel},
    plan::{Placement, Program},
    protocol::AdapterReport,
    tensor::TensorId,
};
use batch::BatchTuning;
use buffers::Buffers;
use dispatch::Bench;
use fault::Faults;
use pipelines::Pipelines;
pub use readback::GpuFetch;
use readback::Staging;
use replay::Replay;
use stream::Streaming;
use tuning::Tuning;

/// Of a batch of a prompt.
const PREFILL_TOKENS: u32 = 512;

/// How to open a GPU. The defaults take what the adapter offers; the rest is for tests and for stepping down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Which adapter, as an index into [`GpuDevice::adapters`]. None: the best.
    pub adapter: Option<usize>,
    /// Whether to use subgroups. None: if the adapter has them.
    pub subgroups: Option<bool>,
    /// Split tensors as if no more could be bound at once, in bytes.
    pub max_binding_bytes: Option<u64>,
    /// Whether one dispatch may do the work of several commands. None: yes.
    pub fused: Option<bool>,
    /// Into how many pieces attention of one token cuts the context, if it is that long. None: as many as pay.
    pub attention_splits: Option<u32>,
    /// Threads of a workgroup of attention of one token: 64, 128 or, with subgroups, 256. None: what the tuning says.
    pub attention_threads: Option<u32>,
    /// Threads of a workgroup of a product of one token: 32, 64 or 128. None: what the tuning says.
    pub matvec_threads: Option<u32>,
    /// Whether products read many weights at a time. None: where rows are long.
    pub wide: Option<bool>,
    /// Whether products of one token round each 32 numbers of what they multiply to 8 bits, for formats that have such
    /// products. Faster where arithmetic is what limits, and not the same numbers.
    pub int8: bool,
    /// How products of a batch are computed, whatever the batch; one that the adapter cannot do is passed over. None:
    /// what suits the adapter and the batch.
    pub matmul: Option<MatmulKind>,
    /// How attention of a batch is computed, whatever the batch; what the adapter or a head cannot do is passed over. None:
    /// what suits the adapter and the batch.
    pub attention: Option<AttentionKind>,
    /// Bits with which a workgroup's memory is filled before a kernel begins, so that one that reads what nobody wrote is
    /// found out. None: whatever lies there.
    pub fill_shared: Option<u32>,
    /// In a web page, what it knows of the adapter.
    pub page: PageAdapter,
}

/// A GPU with a program on it.
pub struct GpuDevice {
    report: AdapterReport,
    device: wgpu::Device,
    queue: wgpu::Queue,
    faults: Faults,
    staging: Staging,
    pipelines: Pipelines,
    max_binding_bytes: u64,
    fuses: bool,
    tuning: Tuning,
    loaded: Option<Loaded>,
}

/// What [`GpuDevice::prepare`] makes.
struct Loaded {
    buffers: Buffers,
    replay: Replay,
    streaming: Streaming,
}

impl GpuDevice {
    /// What GPUs there are, best first. A browser shows one at most.
    pub async fn adapters() -> Vec<AdapterReport> {
        Self::adapters_of(&PageAdapter::default()).await
    }

    /// The same in a web page, which knows more of its adapter.
    pub async fn adapters_of(page: &PageAdapter) -> Vec<AdapterReport> {
        adapter::find().await.iter().map(|adapter| adapter::report(adapter, page)).collect()
    }

    /// Why [`Self::adapters`] may be empty, in words.
    pub fn absence() -> String {
        adapter::absence_reason(0, None)
    }

    /// Opens a GPU.
    pub async fn open(options: &GpuOptions) -> Result<Self> {
        let adapters = adapter::find().await;
        let chosen = adapters.get(options.adapter.unwrap_or(0)).ok_or_else(|| Error::NoDevice {
            wanted: "GPU".into(),
            reason: adapter::absence_reason(adapters.len(), options.adapter),
        })?;
        let report = adapter::report(chosen, &options.page);
        let (device, queue) = adapter::open(chosen, &options.page).await?;
        let faults = Faults::watch(&device);
        let subgroups = options.subgroups.unwrap_or(true)
            && (device.features().contains(wgpu::Features::SUBGROUP)
                || options.page.has(page::SUBGROUPS) && page::takes_subgroups(&device).await);
        let cooperative = adapter::is_cooperative(chosen, &options.page)
            && (cfg!(not(target_arch = "wasm32")) || page::takes_matrices(&device).await);
        let limit = device.limits().max_storage_buffer_binding_size.min(device.limits().max_buffer_size);
        Ok(Self {
            report,
            pipelines: Pipelines::new(subgroups, options.fill_shared),
            max_binding_bytes: options.max_binding_bytes.map_or(limit, |bytes| bytes.min(limit)),
            fuses: options.fused.unwrap_or(true),
            tuning: Tuning::of(options, subgroups).with_batches(BatchTuning::of(options, cooperative)),
            device,
            queue,
            faults,
            staging: Staging::default(),
            loaded: None,
        })
    }

    /// The GPU's name.
    pub fn name(&self) -> String {
        self.report.name.clone()
    }

    /// See [`super::Device::prefill_tokens`]: one whose threads are a CPU's is as slow as that.
    pub fn prefill_tokens(&self) -> u32 {
        if self.report.is_software { super::CPU_PREFILL_TOKENS } else { PREFILL_TOKENS }
    }

    /// Whether products of a batch can be computed in cooperative matrices.
    pub fn is_cooperative(&self) -> bool {
        self.tuning.batch.is_cooperative()
    }

    /// What the GPU is.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// What loses the device as a driver's crash would, at any moment, so that tests can see what follows.
    pub fn lose_for_test(&self) -> impl Fn() + use<> {
        let device = self.device.clone();
        move || device.destroy()
    }

    /// See [`super::Device::prepare`].
    pub async fn prepare(&mut self, program: &Program) -> Result<()> {
        self.prepare_placed(program, &Placement::default()).await
    }

    /// See [`super::Device::prepare_placed`].
    pub async fn prepare_placed(&mut self, program: &Program, placement: &Placement) -> Result<()> {
        self.faults.check()?;
        self.loaded = None;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let fusion = self.fusion(program);
        let allocated = Buffers::allocate(&self.device, program, &fusion.stacks, placement, self.max_binding_bytes);
        let invalid = validation.pop().await;
        let refused = memory.pop().await;
        self.faults.check()?;
        if refused.is_some() {
            return Err(Error::OutOfMemory {
                what: format!("the model on {}", self.report.name),
                requested_bytes: Buffers::bytes(program, placement),
                available_bytes: 0,
            });
        }
        if let Some(error) = invalid {
            return Err(Error::DeviceFault { reason: error.to_string() });
        }
        let buffers = allocated?;
        let bench = Bench { device: &self.device, queue: &self.queue, program, buffers: &buffers };
        // Outside of any scope: to hear what became of it, a browser would have to wait until all is compiled, while the
        // weights could be on their way. What is wrong is reported as a fault, here natively, later in a browser.
        let replay = Replay::build(&bench, &mut self.pipelines, &fusion, placement, self.tuning);
        self.faults.check()?;
        self.loaded = Some(Loaded { buffers, replay, streaming: Streaming::of(placement) });
        Ok(())
    }

    /// See [`super::Device::upload`].
    pub fn upload(&mut self, id: TensorId, rows: Range<u64>, bytes: &[u8]) -> Result<()> {
        self.faults.check()?;
        let Self { device, queue, loaded, .. } = self;
        loaded.as_mut().ok_or(Error::NotLoaded)?.buffers.upload(device, queue, id, rows, bytes)
    }

    /// See [`super::Device::write`].
    pub fn write(&mut self, id: TensorId, at: u64, values: &[f32]) -> Result<()> {
        self.faults.check()?;
        let loaded = self.loaded.as_ref().ok_or(Error::NotLoaded)?;
        let buffer = loaded.buffers.whole(id)?;
        buffers::check_range(buffer, at, values.len() as u64)?;
        self.queue.write_buffer(buffer, at * 4, bytemuck::cast_slice(values));
        Ok(())
    }

    /// See [`super::Device::submit`].
    pub fn submit(&mut self, work: &Work<'_>) -> Result<Option<GpuFetch>> {
        self.faults.check()?;
        if !work.plans.is_empty() {
            self.check_none_streams()?;
        }
        let loaded = self.loaded.as_ref().ok_or(Error::NotLoaded)?;
        let label = Some("step");
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        loaded.replay.record(&self.queue, &mut encoder, work)?;
        let fetch = match &work.fetch {
            Some((id, elements)) => {
                let buffer = loaded.buffers.whole(*id)?;
                buffers::check_range(buffer, elements.start, elements.end.saturating_sub(elements.start))?;
                Some(self.staging.copy(&self.device, &mut encoder, buffer, elements.clone()))
            }
            None => None,
        };
        let submission = self.queue.submit([encoder.finish()]);
        self.faults.check()?;
        Ok(fetch.map(|staging| self.staging.fetch(&self.device, &self.faults, staging, submission)))
    }

    /// The kernel of each dispatch that a step takes; how many there are is what a small model's speed follows from.
    pub fn kernels(&self, plan: usize, step: Step) -> Vec<Kernel> {
        self.loaded.as_ref().map_or_else(Vec::new, |loaded| loaded.replay.kernels(plan, step))
    }

    /// See [`super::Device::read`].
    pub async fn read(&mut self, id: TensorId, elements: Range<u64>) -> Result<Vec<f32>> {
        let nothing = Work { plans: &[], step: Step::default(), ids: Ids::Chosen, fetch: Some((id, elements)) };
        match self.submit(&nothing)? {
            Some(fetch) => fetch.wait().await,
            None => Ok(Vec::new()),
        }
    }
}
