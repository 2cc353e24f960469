//! The CPU: the scalar twins, with SIMD and threads where the time goes.

mod attention;
mod buffer;
mod centred;
mod check;
mod crew;
mod dot;
mod elementwise;
mod grouped;
mod matmul;
mod matvec;
mod measure;
mod panel;
mod parts;
mod run;
mod simd;
mod storage;
mod stored;
mod stream;
mod weights;
mod workers;

pub use crew::Crew;
pub use grouped::activation_bytes;
pub use measure::{MemoryProbe, pattern};
pub use simd::SimdLevel;
pub use workers::{Serial, Workers};

use std::{ops::Range, sync::Arc};

use crate::{
    Error, Result,
    kernel::{Step, shader::Kernel},
    plan::{Placement, Program},
    tensor::TensorId,
};
use check::Limits;
use storage::{Storage, fault};
use stream::Streaming;

/// What products of quantised weights make of the activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Activations {
    /// Bytes: each 32 of a token with a scale of their own. Several times as fast, and the rounding of an activation
    /// is at most 1/254 of the greatest of its 32.
    #[default]
    Int8,
    /// F32, as everywhere else: what the exact references are compared with.
    F32,
}

/// A CPU with a program on it.
pub struct CpuDevice {
    workers: Arc<dyn Workers>,
    simd: SimdLevel,
    activations: Activations,
    storage: Storage,
    program: Program,
    limits: Vec<Limits>,
    streaming: Streaming,
}

impl CpuDevice {
    /// With the best instruction set that this machine has, and activations of eight bits.
    pub fn new(workers: Arc<dyn Workers>) -> Self {
        Self::with(workers, SimdLevel::detect(), Activations::Int8)
    }

    /// With a certain instruction set, or plain Rust if this machine has it not, and activations in F32.
    pub fn with_simd(workers: Arc<dyn Workers>, simd: SimdLevel) -> Self {
        Self::with(workers, simd, Activations::F32)
    }

    /// With a certain instruction set, or plain Rust if this machine has it not, and such activations.
    pub fn with(workers: Arc<dyn Workers>, simd: SimdLevel, activations: Activations) -> Self {
        let simd = if simd.is_available() { simd } else { SimdLevel::Scalar };
        let (storage, program) = (Storage::default(), Program::default());
        let streaming = Streaming::default();
        Self { workers, simd, activations, storage, program, limits: Vec::new(), streaming }
    }

    /// For a person: "CPU avx2, 2 threads".
    pub fn name(&self) -> String {
        let count = self.workers.count();
        format!("CPU {}, {count} thread{}", self.simd.name(), if count == 1 { "" } else { "s" })
    }

    /// Checks the program and allocates its tensors, all zeros.
    pub fn prepare(&mut self, program: &Program) -> Result<()> {
        self.prepare_placed(program, &Placement::default())
    }

    /// The same, with weights that come and go as is said.
    pub fn prepare_placed(&mut self, program: &Program, placement: &Placement) -> Result<()> {
        let limits = check::check(program)?;
        // What a program before this one held is given back first.
        self.storage = Storage::default();
        self.storage = Storage::new(self.workers.as_ref(), program, self.activations, placement)?;
        self.streaming = Streaming::of(program, placement);
        self.program = program.clone();
        self.limits = limits;
        Ok(())
    }

    /// Fills some rows of a weight with the bytes of a file.
    pub fn upload(&mut self, id: TensorId, rows: Range<u64>, bytes: &[u8]) -> Result<()> {
        self.storage.upload(&self.program, id, rows, bytes)
    }

    /// Fills a state, from element `at` on.
    pub fn write(&mut self, id: TensorId, at: u64, values: &[f32]) -> Result<()> {
        self.storage.write(id, at, values)
    }

    /// Runs a plan to its end.
    pub fn run(&mut self, plan: usize, step: Step, ids: &[u32]) -> Result<()> {
        self.run_each(plan, step, ids, &mut |_| {})
    }

    /// The same; `after` is called when a command is done.
    fn run_each(&mut self, plan: usize, step: Step, ids: &[u32], after: &mut dyn FnMut(Kernel)) -> Result<()> {
        self.streaming.check_none()?;
        self.check_step(plan, step, ids)?;
        self.storage.ids.clear();
        self.storage.ids.extend_from_slice(ids);
        let commands = self.program.plans.get(plan).map_or(0, |plan| plan.commands.len());
        self.run_commands(plan, 0..commands, step, after)
    }

    /// Whether a plan takes such a step.
    fn check_step(&self, plan: usize, step: Step, ids: &[u32]) -> Result<()> {
        let Some((plan, limits)) = self.program.plans.get(plan).zip(self.limits.get(plan)) else {
            return Err(fault(format!("there is no plan {plan}")));
        };
        if !(1..=limits.tokens_max).contains(&step.tokens) || ids.len() != step.tokens as usize {
            let (tokens, given, most) = (step.tokens, ids.len(), limits.tokens_max);
            return Err(fault(format!("{}: a step of {tokens} tokens has {given} ids, at most {most}", plan.name)));
        }
        if u64::from(step.position) + u64::from(step.tokens) > limits.positions_max {
            return Err(Error::PromptTooLong {
                prompt_tokens: step.position as usize + step.tokens as usize,
                context_tokens: usize::try_from(limits.positions_max).unwrap_or(usize::MAX),
            });
        }
        Ok(())
    }

    /// Runs some commands of a plan whose step was checked.
    fn run_commands(
        &mut self,
        plan: usize,
        commands: Range<usize>,
        step: Step,
        after: &mut dyn FnMut(Kernel),
    ) -> Result<()> {
        let commands = self.program.plans.get(plan).and_then(|plan| plan.commands.get(commands));
        for command in commands.ok_or_else(|| fault(format!("there is no plan {plan}")))? {
            run::execute(self.workers.as_ref(), self.simd, &mut self.storage, step, command);
            after(command.kernel());
        }
        Ok(())
    }

    /// The token number that a plan chose last.
    pub fn chosen(&self) -> Vec<u32> {
        self.storage.ids.iter().copied().take(1).collect()
    }

    /// Reads elements of a state or a scratch tensor.
    pub fn read(&self, id: TensorId, elements: Range<u64>) -> Result<Vec<f32>> {
        self.storage.read(id, elements)
    }
}
