//! Plans made ready for replay: pipelines and bind groups are made once, and a step is one submit of one pass.

use super::{
    batch::{Batch, Halves},
    dispatch::{Bench, Size, Sketch},
    fused::{self, Spare},
    pipelines::{Compiled, Pipelines},
    tuning::Tuning,
};
use crate::{
    Error, Result,
    device::{Ids, Work},
    kernel::{Step, shader::Kernel},
    plan::{Block, Fused, Fusion, Placement, Plan, Program, Segment, TensorKind},
    tensor::TensorId,
};

/// Where one dispatch's `Params` may begin in the shared uniform buffer: the largest alignment that WebGPU allows a
/// device to ask for.
const PARAMS_STRIDE_BYTES: usize = 256;

/// One dispatch.
struct Dispatch {
    kernel: Kernel,
    compiled: Compiled,
    bindings: wgpu::BindGroup,
    size: Size,
}

impl Dispatch {
    /// Puts it into a pass, if the step needs it.
    fn put(&self, step: Step, pass: &mut wgpu::ComputePass<'_>) {
        let Some([x, y, z]) = self.size.groups(step) else { return };
        pass.set_pipeline(&self.compiled.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// A plan made ready.
struct ReadyPlan {
    tokens_max: u32,
    dispatches: Vec<Dispatch>,
    segments: Vec<Segment>,
}

impl ReadyPlan {
    /// The dispatches of a step.
    fn needed(&self, step: Step) -> impl Iterator<Item = &Dispatch> {
        self.dispatches.iter().filter(move |dispatch| dispatch.size.groups(step).is_some())
    }
}

/// All plans of a program.
pub struct Replay {
    plans: Vec<ReadyPlan>,
    step: wgpu::Buffer,
    /// Of all plans' parameters, and of what fused commands need.
    other_bytes: u64,
    /// Of those, what batches need.
    batch_bytes: u64,
    ids: Option<wgpu::Buffer>,
}

impl Replay {
    /// Compiles and binds everything that the program's plans need.
    pub fn build(
        bench: &Bench<'_>,
        pipelines: &mut Pipelines,
        fusion: &Fusion,
        placement: &Placement,
        tuning: Tuning,
    ) -> Self {
        let step = uniform(bench.device, "step", 16);
        let spare = Spare::allocate(bench, fusion, tuning);
        let halves = Halves::allocate(bench, tuning.batch);
        let of_plan = |(plan, blocks): (&Plan, &Vec<Block>)| {
            let batch = Batch::new(bench, tuning.batch, halves.as_ref(), plan);
            sketches(bench, &spare, tuning, batch, (plan, blocks))
        };
        let sketches: Vec<Vec<(Sketch, Vec<TensorId>)>> =
            bench.program.plans.iter().zip(&fusion.plans).map(of_plan).collect();
        #[cfg(not(target_arch = "wasm32"))]
        {
            let wanted =
                sketches.iter().flatten().map(|(sketch, _)| (sketch.variant(pipelines), sketch.constants.clone()));
            pipelines.compile_all(bench.device, wanted.collect());
        }
        let mut plans = Vec::with_capacity(sketches.len());
        let batch_bytes = halves.as_ref().map_or(0, Halves::bytes);
        let mut other_bytes = spare.bytes() + batch_bytes;
        for (plan, sketches) in bench.program.plans.iter().zip(sketches) {
            let (sketches, needs): (Vec<Sketch>, Vec<Vec<TensorId>>) = sketches.into_iter().unzip();
            let params = params(bench, &sketches);
            other_bytes += params.size();
            let dispatches = sketches
                .into_iter()
                .enumerate()
                .map(|(index, sketch)| {
                    let offset = (index * PARAMS_STRIDE_BYTES) as u64;
                    bind(bench.device, pipelines, sketch, &step, (&params, offset))
                })
                .collect();
            let segments = placement.cut(needs.into_iter());
            plans.push(ReadyPlan { tokens_max: plan.tokens_max, dispatches, segments });
        }
        let ids = (0..bench.program.tensors.len() as u32)
            .map(TensorId)
            .find(|id| bench.program.tensor(*id).kind == TensorKind::Tokens)
            .and_then(|id| bench.buffers.whole(id).ok().cloned());
        Self { plans, step, other_bytes, batch_bytes, ids }
    }

    /// Records the work's plans in one pass. Its step and its token numbers travel on the queue, in front of it.
    pub fn record(&self, queue: &wgpu::Queue, encoder: &mut wgpu::CommandEncoder, work: &Work<'_>) -> Result<()> {
        if work.plans.is_empty() {
            return Ok(());
        }
        let plans = self.begin(queue, work)?;
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for dispatch in plans.iter().flat_map(|plan| &plan.dispatches) {
            dispatch.put(work.step, &mut pass);
        }
        Ok(())
    }

    /// The same with each dispatch in a pass of its own, which writes the timestamps that `writes` says.
    pub fn record_apart<'a>(
        &self,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        work: &Work<'_>,
        writes: &dyn Fn(usize) -> Option<wgpu::ComputePassTimestampWrites<'a>>,
    ) -> Result<()> {
        let plans = self.begin(queue, work)?;
        let dispatches = plans.iter().flat_map(|plan| plan.needed(work.step));
        for (index, dispatch) in dispatches.enumerate() {
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes(index) };
            dispatch.put(work.step, &mut encoder.begin_compute_pass(&descriptor));
        }
        Ok(())
    }

    /// Bytes of the buffers that are not tensors.
    pub fn allocated_bytes(&self) -> u64 {
        self.step.size() + self.other_bytes
    }

    /// Bytes of those that batches need.
    pub fn batch_bytes(&self) -> u64 {
        self.batch_bytes
    }

    /// The pieces of a plan.
    pub fn segments(&self, plan: usize) -> &[Segment] {
        self.plans.get(plan).map_or(&[], |plan| plan.segments.as_slice())
    }

    /// Records a piece of a plan in one pass. Its step has [begun](Self::begin_pieces).
    pub fn record_segment(&self, encoder: &mut wgpu::CommandEncoder, plan: usize, nth: usize, step: Step) {
        let Some(plan) = self.plans.get(plan) else { return };
        let items = plan.segments.get(nth).map_or(0..0, |segment| segment.items.clone());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for dispatch in plan.dispatches.get(items).unwrap_or_default() {
            dispatch.put(step, &mut pass);
        }
    }

    /// Checks a step whose plans run piece by piece, and hands its numbers over.
    pub fn begin_pieces(&self, queue: &wgpu::Queue, work: &Work<'_>) -> Result<()> {
        self.begin(queue, work).map(|_| ())
    }

    /// Checks a step and hands its numbers over.
    fn begin(&self, queue: &wgpu::Queue, work: &Work<'_>) -> Result<Vec<&ReadyPlan>> {
        let plan =
            |index: &usize| self.plans.get(*index).ok_or_else(|| Error::invalid("plan", "is not part of this program"));
        let plans = work.plans.iter().map(plan).collect::<Result<Vec<_>>>()?;
        let step = work.step;
        let tokens_max = plans.iter().map(|plan| plan.tokens_max).min().unwrap_or(0);
        let given = if let Ids::Given(ids) = work.ids { ids.len() } else { 1 };
        if step.tokens == 0 || step.tokens > tokens_max || given != step.tokens as usize {
            let what = format!("are {} with {given} ids, but a plan takes 1 to {tokens_max}", step.tokens);
            return Err(Error::invalid("tokens", what));
        }
        queue.write_buffer(&self.step, 0, bytemuck::bytes_of(&step));
        if let (Some(buffer), Ids::Given(ids)) = (&self.ids, work.ids) {
            queue.write_buffer(buffer, 0, bytemuck::cast_slice(ids));
        }
        Ok(plans)
    }

    /// The kernel of each dispatch of a step.
    pub fn kernels(&self, plan: usize, step: Step) -> Vec<Kernel> {
        let plan = self.plans.get(plan);
        plan.map_or_else(Vec::new, |plan| plan.needed(step).map(|dispatch| dispatch.kernel).collect())
    }
}

/// The parameters of all dispatches of a plan.
fn params(bench: &Bench<'_>, sketches: &[Sketch]) -> wgpu::Buffer {
    let mut bytes = vec![0; (sketches.len() * PARAMS_STRIDE_BYTES).max(PARAMS_STRIDE_BYTES)];
    for (sketch, place) in sketches.iter().zip(bytes.chunks_mut(PARAMS_STRIDE_BYTES)) {
        place[..sketch.params.len()].copy_from_slice(&sketch.params);
    }
    let params = uniform(bench.device, "params", bytes.len());
    bench.queue.write_buffer(&params, 0, &bytes);
    params
}

/// A buffer for parameters.
fn uniform(device: &wgpu::Device, label: &str, bytes: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// All dispatches of a plan, each with the matrices that it reads.
fn sketches(
    bench: &Bench<'_>,
    spare: &Spare,
    tuning: Tuning,
    mut batch: Batch<'_>,
    (plan, blocks): (&Plan, &[Block]),
) -> Vec<(Sketch, Vec<TensorId>)> {
    let of_fused = |fused: &Fused| {
        let sketches = match fused {
            Fused::Single(index) => batch.of_command(*index),
            Fused::Matvec(matvec) => fused::of_matvec(bench, spare, tuning, matvec),
            Fused::Attend(attend) => fused::of_attend(bench, spare, tuning, attend),
            Fused::NormAdd(add) => vec![fused::of_norm_add(bench, add)],
        };
        let needs = matrices(bench.program, plan, fused);
        sketches.into_iter().map(move |sketch| (sketch.with_code(bench.program.code), needs.clone()))
    };
    blocks.iter().flat_map(|block| &block.fused).flat_map(of_fused).collect()
}

/// The matrices that a fused command reads.
fn matrices(program: &Program, plan: &Plan, fused: &Fused) -> Vec<TensorId> {
    let ids = match fused {
        Fused::Single(index) => plan.commands.get(*index).map(crate::plan::Command::operands).unwrap_or_default(),
        Fused::Matvec(matvec) => matvec.matrices.iter().map(|matrix| matrix.weights).collect(),
        Fused::Attend(_) | Fused::NormAdd(_) => Vec::new(),
    };
    ids.into_iter().filter(|id| matches!(program.tensor(*id).kind, TensorKind::Weight(_))).collect()
}

fn bind(
    device: &wgpu::Device,
    pipelines: &mut Pipelines,
    sketch: Sketch,
    step: &wgpu::Buffer,
    (params, offset): (&wgpu::Buffer, u64),
) -> Dispatch {
    let compiled = pipelines.get(device, sketch.variant(pipelines), &sketch.constants);
    let params =
        wgpu::BufferBinding { buffer: params, offset, size: wgpu::BufferSize::new(PARAMS_STRIDE_BYTES as u64) };
    let entries: Vec<wgpu::BindGroupEntry<'_>> = [step.as_entire_binding(), wgpu::BindingResource::Buffer(params)]
        .into_iter()
        .chain(sketch.storage.iter().map(wgpu::Buffer::as_entire_binding))
        .enumerate()
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
        .collect();
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(sketch.kernel.name()),
        layout: &compiled.layout,
        entries: &entries,
    });
    Dispatch { kernel: sketch.kernel, compiled, bindings, size: sketch.size }
}
