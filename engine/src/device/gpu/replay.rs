//! Plans made ready for replay: pipelines and bind groups are made once, and a step is one submit of one pass.

use super::{
    dispatch::{self, Bench, Size, Sketch},
    fused::{self, Spare},
    pipelines::{Compiled, Pipelines},
    tuning::Tuning,
};
use crate::{
    Error, Result,
    device::{Ids, Work},
    kernel::Step,
    plan::{Block, Fused, Fusion, Plan, TensorKind},
};

/// Where one dispatch's `Params` may begin in the shared uniform buffer: the largest alignment that WebGPU allows a
/// device to ask for.
const PARAMS_STRIDE_BYTES: usize = 256;

/// One dispatch.
struct Dispatch {
    compiled: Compiled,
    bindings: wgpu::BindGroup,
    size: Size,
}

/// A plan made ready.
struct ReadyPlan {
    tokens_max: u32,
    dispatches: Vec<Dispatch>,
}

/// All plans of a program.
pub struct Replay {
    plans: Vec<ReadyPlan>,
    step: wgpu::Buffer,
    ids: Option<wgpu::Buffer>,
}

impl Replay {
    /// Compiles and binds everything that the program's plans need.
    pub fn build(bench: &Bench<'_>, pipelines: &mut Pipelines, fusion: &Fusion, tuning: Tuning) -> Self {
        let step = uniform(bench.device, "step", 16);
        let spare = Spare::allocate(bench, fusion, tuning);
        let mut plans = Vec::with_capacity(bench.program.plans.len());
        for (plan, blocks) in bench.program.plans.iter().zip(&fusion.plans) {
            let sketches = sketches(bench, &spare, tuning, plan, blocks);
            let mut bytes = vec![0; (sketches.len() * PARAMS_STRIDE_BYTES).max(PARAMS_STRIDE_BYTES)];
            for (sketch, place) in sketches.iter().zip(bytes.chunks_mut(PARAMS_STRIDE_BYTES)) {
                place[..sketch.params.len()].copy_from_slice(&sketch.params);
            }
            let params = uniform(bench.device, "params", bytes.len());
            bench.queue.write_buffer(&params, 0, &bytes);
            let dispatches = sketches
                .into_iter()
                .enumerate()
                .map(|(index, sketch)| {
                    let offset = (index * PARAMS_STRIDE_BYTES) as u64;
                    bind(bench.device, pipelines, sketch, &step, (&params, offset))
                })
                .collect();
            plans.push(ReadyPlan { tokens_max: plan.tokens_max, dispatches });
        }
        let ids = (0..bench.program.tensors.len() as u32)
            .map(crate::tensor::TensorId)
            .find(|id| bench.program.tensor(*id).kind == TensorKind::Tokens)
            .and_then(|id| bench.buffers.whole(id).ok().cloned());
        Self { plans, step, ids }
    }

    /// Records the work's plans in one pass. Its step and its token numbers travel on the queue, in front of it.
    pub fn record(&self, queue: &wgpu::Queue, encoder: &mut wgpu::CommandEncoder, work: &Work<'_>) -> Result<()> {
        let plan =
            |index: &usize| self.plans.get(*index).ok_or_else(|| Error::invalid("plan", "is not part of this program"));
        let plans = work.plans.iter().map(plan).collect::<Result<Vec<_>>>()?;
        let step = work.step;
        let tokens_max = plans.iter().map(|plan| plan.tokens_max).min().unwrap_or(0);
        if plans.is_empty() {
            return Ok(());
        }
        let given = if let Ids::Given(ids) = work.ids { ids.len() } else { 1 };
        if step.tokens == 0 || step.tokens > tokens_max || given != step.tokens as usize {
            let (tokens, what) = (step.tokens, "tokens");
            return Err(Error::invalid(
                what,
                format!("are {tokens} with {given} ids, but a plan takes 1 to {tokens_max}"),
            ));
        }
        queue.write_buffer(&self.step, 0, bytemuck::bytes_of(&step));
        if let (Some(buffer), Ids::Given(ids)) = (&self.ids, work.ids) {
            queue.write_buffer(buffer, 0, bytemuck::cast_slice(ids));
        }
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for dispatch in plans.iter().flat_map(|plan| &plan.dispatches) {
            let Some([x, y, z]) = dispatch.size.groups(step) else { continue };
            pass.set_pipeline(&dispatch.compiled.pipeline);
            pass.set_bind_group(0, &dispatch.bindings, &[]);
            pass.dispatch_workgroups(x, y, z);
        }
        Ok(())
    }

    /// How many dispatches a step has.
    pub fn dispatches(&self, plan: usize, step: Step) -> usize {
        let dispatches = self.plans.get(plan).map_or(&[][..], |plan| &plan.dispatches);
        dispatches.iter().filter(|dispatch| dispatch.size.groups(step).is_some()).count()
    }
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

/// All dispatches of a plan.
fn sketches(bench: &Bench<'_>, spare: &Spare, tuning: Tuning, plan: &Plan, blocks: &[Block]) -> Vec<Sketch> {
    let of_fused = |fused: &Fused| match fused {
        Fused::Single(index) => plan.commands.get(*index).map_or_else(Vec::new, |one| dispatch::of_command(bench, one)),
        Fused::Matvec(matvec) => fused::of_matvec(bench, spare, tuning, matvec),
        Fused::Attend(attend) => fused::of_attend(bench, spare, tuning, attend),
        Fused::NormAdd(add) => vec![fused::of_norm_add(bench, add)],
    };
    blocks.iter().flat_map(|block| &block.fused).flat_map(of_fused).collect()
}

fn bind(
    device: &wgpu::Device,
    pipelines: &mut Pipelines,
    sketch: Sketch,
    step: &wgpu::Buffer,
    (params, offset): (&wgpu::Buffer, u64),
) -> Dispatch {
    let compiled = pipelines.get(device, sketch.kernel, (sketch.format, sketch.reading), &sketch.constants);
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
    Dispatch { compiled, bindings, size: sketch.size }
}
