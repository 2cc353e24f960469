//! Plans made ready for replay: pipelines and bind groups are made once, and a step is one submit of one pass.

use super::{
    buffers::{Buffers, Part},
    pipelines::{Compiled, Pipelines},
};
use crate::{
    Error, Result,
    kernel::{
        Matmul, Matvec, Step,
        shader::{self, Kernel},
    },
    plan::{Command, Program, TensorKind},
};

/// Where one dispatch's `Params` may begin in the shared uniform buffer: the largest alignment that WebGPU allows a
/// device to ask for.
const PARAMS_STRIDE_BYTES: usize = 256;

/// One dispatch.
struct Dispatch {
    compiled: Compiled,
    bindings: wgpu::BindGroup,
    /// The command in the plan.
    command: usize,
    /// Rows of the weights' part that it covers; 0 for kernels without weights.
    part_rows: u32,
}

/// A plan made ready.
struct ReadyPlan {
    tokens_max: u32,
    commands: Vec<Command>,
    dispatches: Vec<Dispatch>,
}

/// All plans of a program.
pub struct Replay {
    plans: Vec<ReadyPlan>,
    step: wgpu::Buffer,
    /// Of all plans' parameters.
    params_bytes: u64,
    ids: Option<wgpu::Buffer>,
}

/// A dispatch before its buffers are bound.
struct Sketch<'a> {
    command: usize,
    part: Option<&'a Part>,
    params: Vec<u8>,
}

impl Replay {
    /// Compiles and binds everything that the program's plans need.
    pub fn build(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        pipelines: &mut Pipelines,
        program: &Program,
        buffers: &Buffers,
    ) -> Self {
        let uniform = |label, size: usize| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: size as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let step = uniform("step", 16);
        let (mut plans, mut params_bytes) = (Vec::with_capacity(program.plans.len()), 0);
        for plan in &program.plans {
            let sketches: Vec<Sketch> =
                plan.commands.iter().enumerate().flat_map(|(index, command)| sketch(index, command, buffers)).collect();
            let mut bytes = vec![0; (sketches.len() * PARAMS_STRIDE_BYTES).max(PARAMS_STRIDE_BYTES)];
            for (params, place) in
                sketches.iter().map(|sketch| &sketch.params).zip(bytes.chunks_mut(PARAMS_STRIDE_BYTES))
            {
                place[..params.len()].copy_from_slice(params);
            }
            let params = uniform("params", bytes.len());
            params_bytes += params.size();
            queue.write_buffer(&params, 0, &bytes);
            let dispatches = sketches
                .iter()
                .enumerate()
                .map(|(index, sketch)| {
                    let command = &plan.commands[sketch.command];
                    let offset = (index * PARAMS_STRIDE_BYTES) as u64;
                    bind(device, pipelines, program, buffers, command, sketch, &step, (&params, offset))
                })
                .collect();
            plans.push(ReadyPlan { tokens_max: plan.tokens_max, commands: plan.commands.clone(), dispatches });
        }
        let ids = (0..program.tensors.len() as u32)
            .map(crate::tensor::TensorId)
            .find(|id| program.tensor(*id).kind == TensorKind::Tokens)
            .and_then(|id| buffers.whole(id).ok().cloned());
        Self { plans, step, params_bytes, ids }
    }

    /// Queues one step.
    pub fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, plan: usize, step: Step, ids: &[u32]) -> Result<()> {
        let plan = self.begin(queue, plan, step, ids)?;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for dispatch in &plan.dispatches {
                plan.put(dispatch, step, &mut pass);
            }
        }
        queue.submit([encoder.finish()]);
        Ok(())
    }

    /// The same with each dispatch in a pass of its own, which writes the timestamps that `writes` says.
    pub fn run_apart<'a>(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        plan: usize,
        step: Step,
        ids: &[u32],
        writes: &dyn Fn(usize) -> Option<wgpu::ComputePassTimestampWrites<'a>>,
    ) -> Result<()> {
        let plan = self.begin(queue, plan, step, ids)?;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("timed step") });
        for (index, dispatch) in plan.dispatches.iter().enumerate() {
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes(index) };
            plan.put(dispatch, step, &mut encoder.begin_compute_pass(&descriptor));
        }
        queue.submit([encoder.finish()]);
        Ok(())
    }

    /// The kernel of each of a plan's dispatches.
    pub fn kernels(&self, plan: usize) -> Vec<Kernel> {
        let plan = self.plans.get(plan);
        plan.map_or_else(Vec::new, |plan| {
            plan.dispatches.iter().map(|dispatch| plan.commands[dispatch.command].kernel()).collect()
        })
    }

    /// Bytes of the buffers that are not tensors.
    pub fn allocated_bytes(&self) -> u64 {
        self.step.size() + self.params_bytes
    }

    /// Checks a step and hands its numbers over.
    fn begin(&self, queue: &wgpu::Queue, plan: usize, step: Step, ids: &[u32]) -> Result<&ReadyPlan> {
        let plan = self.plans.get(plan).ok_or_else(|| Error::invalid("plan", "is not part of this program"))?;
        if step.tokens == 0 || step.tokens > plan.tokens_max || ids.len() != step.tokens as usize {
            return Err(Error::invalid(
                "tokens",
                format!("are {}, but the plan takes 1 to {}", ids.len(), plan.tokens_max),
            ));
        }
        queue.write_buffer(&self.step, 0, bytemuck::bytes_of(&step));
        if let Some(buffer) = &self.ids {
            queue.write_buffer(buffer, 0, bytemuck::cast_slice(ids));
        }
        Ok(plan)
    }
}

impl ReadyPlan {
    /// Puts a dispatch into a pass.
    fn put(&self, dispatch: &Dispatch, step: Step, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = groups(&self.commands[dispatch.command], dispatch.part_rows, step.tokens);
        pass.set_pipeline(&dispatch.compiled.pipeline);
        pass.set_bind_group(0, &dispatch.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// The dispatches of a command: one, or one for each part of its weights.
fn sketch<'a>(index: usize, command: &Command, buffers: &'a Buffers) -> Vec<Sketch<'a>> {
    let whole = |params: &[u8]| vec![Sketch { command: index, part: None, params: params.to_vec() }];
    use bytemuck::bytes_of;
    let by_part = |weights, params: &dyn Fn(&Part) -> Vec<u8>| {
        let parts: &'a [Part] = buffers.parts(weights);
        parts.iter().map(|part| Sketch { command: index, part: Some(part), params: params(part) }).collect()
    };
    match command {
        Command::Embed(embed) => by_part(embed.table, &|part| {
            let Part { first_row, rows, scales_word, .. } = *part;
            let (first_row, rows) = (first_row as u32, rows as u32);
            bytes_of(&shader::embed::Params { columns: embed.columns, first_row, rows, scales_word }).to_vec()
        }),
        Command::Matvec(Matvec { weights, columns, accumulate, .. }) => by_part(*weights, &|part| {
            bytes_of(&shader::matvec::Params {
                columns: *columns,
                rows: part.rows as u32,
                first_row: part.first_row as u32,
                scales_word: part.scales_word,
                accumulate: u32::from(*accumulate),
            })
            .to_vec()
        }),
        Command::Matmul(Matmul { weights, columns, rows, accumulate, .. }) => by_part(*weights, &|part| {
            bytes_of(&shader::matmul::Params {
                columns: *columns,
                rows: part.rows as u32,
                first_row: part.first_row as u32,
                scales_word: part.scales_word,
                accumulate: u32::from(*accumulate),
                out_columns: *rows,
            })
            .to_vec()
        }),
        Command::RmsNorm(command) => whole(bytes_of(&command.params)),
        Command::Rope(command) => whole(bytes_of(&command.params)),
        Command::KvWrite(command) => whole(bytes_of(&command.params)),
        Command::Attention(command) => whole(bytes_of(&command.params)),
        Command::Gated(command) => whole(bytes_of(&command.params)),
        Command::AddBias(command) => whole(bytes_of(&command.params)),
        Command::Scale(command) => whole(bytes_of(&command.params)),
        Command::AddScaled(command) => whole(bytes_of(&command.params)),
        Command::Route(command) => whole(bytes_of(&command.params)),
        Command::Mix(command) => whole(bytes_of(&command.params)),
        Command::ExpertMatvec(command) => by_part(command.weights, &|part| {
            bytes_of(&shader::expert_matvec::Params {
                columns: command.columns,
                rows: command.rows,
                experts: command.experts,
                slots: command.slots,
                x_slots: command.x_slots(),
                part_first_row: part.first_row as u32,
                part_rows: part.rows as u32,
                scales_word: part.scales_word,
            })
            .to_vec()
        }),
        Command::LastRow(command) => whole(bytes_of(&command.params)),
        Command::LayerNorm(command) => whole(bytes_of(&command.params)),
        Command::Gelu(command) => whole(bytes_of(&command.params)),
        Command::AddRows(command) => whole(bytes_of(&command.params)),
    }
}

#[allow(clippy::too_many_arguments, reason = "everything that a bind group binds")]
fn bind(
    device: &wgpu::Device,
    pipelines: &mut Pipelines,
    program: &Program,
    buffers: &Buffers,
    command: &Command,
    sketch: &Sketch<'_>,
    step: &wgpu::Buffer,
    (params, offset): (&wgpu::Buffer, u64),
) -> Dispatch {
    let operands = command.operands();
    let compiled = pipelines.get(device, command.kernel(), program.weights_format(command));
    let params =
        wgpu::BufferBinding { buffer: params, offset, size: wgpu::BufferSize::new(PARAMS_STRIDE_BYTES as u64) };
    let storage = operands.iter().filter_map(|id| match sketch.part {
        Some(part) if matches!(program.tensor(*id).kind, TensorKind::Weight(_)) => {
            Some(part.buffer.as_entire_binding())
        }
        _ => buffers.whole(*id).ok().map(wgpu::Buffer::as_entire_binding),
    });
    let entries: Vec<wgpu::BindGroupEntry<'_>> = [step.as_entire_binding(), wgpu::BindingResource::Buffer(params)]
        .into_iter()
        .chain(storage)
        .enumerate()
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
        .collect();
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(command.kernel().name()),
        layout: &compiled.layout,
        entries: &entries,
    });
    let part_rows = sketch.part.map_or(0, |part| part.rows as u32);
    Dispatch { compiled, bindings, command: sketch.command, part_rows }
}

/// The size of a dispatch.
fn groups(command: &Command, part_rows: u32, tokens: u32) -> [u32; 3] {
    match command {
        Command::Embed(command) => command.groups(tokens),
        Command::RmsNorm(command) => command.groups(tokens),
        Command::Matvec(_) => Matvec::groups(part_rows),
        Command::Matmul(_) => Matmul::groups(part_rows, tokens),
        Command::Rope(command) => command.groups(tokens),
        Command::KvWrite(command) => command.groups(tokens),
        Command::Attention(command) => command.groups(tokens),
        Command::Gated(command) => command.groups(tokens),
        Command::AddBias(command) => command.groups(tokens),
        Command::Scale(command) => command.groups(tokens),
        Command::AddScaled(command) => command.groups(tokens),
        Command::Route(command) => command.groups(tokens),
        Command::ExpertMatvec(command) => command.groups(tokens),
        Command::Mix(command) => command.groups(tokens),
        Command::LastRow(command) => command.groups(),
        Command::LayerNorm(command) => command.groups(tokens),
        Command::Gelu(command) => command.groups(tokens),
        Command::AddRows(command) => command.groups(tokens),
    }
}
