//! Every device that there is on this machine, each in the ways in which it can run.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use hearth_engine::{
    device::{AttentionKind, CpuDevice, Device, GpuDevice, GpuOptions, MatmulKind, Serial, Workers, cpu::SimdLevel},
    plan::{Program, TensorKind},
    protocol::AdapterReport,
    quant::GpuLayout,
};

/// A device that can be opened, in one of the ways in which it can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// An instruction set, with so many threads.
    Cpu(SimdLevel, usize),
    /// An adapter.
    Gpu {
        /// Its place in [`adapters`].
        adapter: usize,
        /// Whether it shall add up through subgroups.
        subgroups: bool,
        /// Whether its binding limit is made so small that matrices must be split.
        split: bool,
        /// Whether one dispatch may do the work of several commands.
        fused: bool,
        /// Whether shared memory is full of what is not a number when a kernel begins.
        filled: bool,
    },
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(level, threads) => write!(f, "CPU {} with {threads} threads", level.name()),
            Self::Gpu { adapter, subgroups, split, fused, filled } => {
                let name = &adapters()[*adapter].name;
                let fused = if *fused { "" } else { ", nothing fused" };
                let subgroups = if *subgroups { "with" } else { "without" };
                let split = if *split { ", matrices split" } else { "" };
                let filled = if *filled { ", shared memory filled" } else { "" };
                write!(f, "{name} {subgroups} subgroups{split}{fused}{filled}")
            }
        }
    }
}

impl Candidate {
    /// All of them. A machine without any adapter needs `HEARTH_TEST_NO_GPU=1`, so that no run without a GPU can pass
    /// for one with it.
    pub fn all() -> Vec<Self> {
        let levels = SimdLevel::ALL.into_iter().filter(|level| level.is_available());
        let mut all: Vec<Self> = levels.map(|level| Self::Cpu(level, 1)).collect();
        all.push(Self::Cpu(SimdLevel::detect(), 3));
        all.extend(Self::gpus());
        all
    }

    /// Those on a GPU.
    pub fn gpus() -> Vec<Self> {
        let mut all = Vec::new();
        for (adapter, report) in adapters().iter().enumerate() {
            let has_subgroups = report.features.iter().any(|feature| feature == "subgroups");
            if has_subgroups {
                all.push(Self::Gpu { adapter, subgroups: true, split: false, fused: true, filled: true });
            }
            all.push(Self::Gpu { adapter, subgroups: false, split: false, fused: true, filled: true });
            all.push(Self::Gpu { adapter, subgroups: false, split: true, fused: true, filled: false });
            all.push(Self::Gpu { adapter, subgroups: has_subgroups, split: false, fused: false, filled: true });
        }
        all
    }

    /// One of each kind, for what does not depend on how a device computes.
    pub fn one_each() -> Vec<Self> {
        let mut all = vec![Self::Cpu(SimdLevel::detect(), 1)];
        all.extend(Self::gpus().into_iter().take(1).map(|candidate| match candidate {
            // As people run it.
            Self::Gpu { adapter, subgroups, split, fused, .. } => {
                Self::Gpu { adapter, subgroups, split, fused, filled: false }
            }
            other => other,
        }));
        all
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Gpu { .. })
    }

    /// Opens it, fit for a program. The program is not prepared yet.
    pub fn open(&self, program: &Program) -> Device {
        let max_binding_bytes = if self.splits() { Some(split_limit(program)) } else { None };
        self.open_limited(max_binding_bytes)
    }

    /// Opens it with a binding limit.
    pub fn open_limited(&self, max_binding_bytes: Option<u64>) -> Device {
        match *self {
            Self::Cpu(level, 1) => Device::Cpu(CpuDevice::with_simd(Arc::new(Serial), level)),
            Self::Cpu(level, threads) => Device::Cpu(CpuDevice::with_simd(Arc::new(Threads(threads)), level)),
            Self::Gpu { adapter, subgroups, fused, filled, .. } => {
                let options = GpuOptions {
                    adapter: Some(adapter),
                    subgroups: Some(subgroups),
                    max_binding_bytes,
                    fused: Some(fused),
                    // Each way of reading has a candidate.
                    wide: Some(subgroups),
                    // What is as exact as the twins; `prefill_kernels` and `prefill_models` see to the other ways.
                    matmul: Some(MatmulKind::Plain),
                    attention: Some(if fused { AttentionKind::Tiled } else { AttentionKind::Plain }),
                    fill_shared: filled.then_some(f32::NAN.to_bits()),
                    ..GpuOptions::default()
                };
                Device::Gpu(pollster::block_on(GpuDevice::open(&options)).expect("it was found before"))
            }
        }
    }

    /// Whether its binding limit is made small.
    pub fn splits(&self) -> bool {
        matches!(self, Self::Gpu { split: true, .. })
    }
}

/// All adapters, best first.
pub fn adapters() -> &'static [AdapterReport] {
    static ADAPTERS: OnceLock<Vec<AdapterReport>> = OnceLock::new();
    ADAPTERS.get_or_init(|| {
        let found = pollster::block_on(GpuDevice::adapters());
        let may_lack = std::env::var_os("HEARTH_TEST_NO_GPU").is_some();
        assert!(
            may_lack || !found.is_empty(),
            "no GPU adapter: install a driver (mesa-vulkan-drivers plays one in software) or set HEARTH_TEST_NO_GPU=1"
        );
        found
    })
}

/// A binding limit that the program's vectors just keep to and its largest matrix passes three times.
pub fn split_limit(program: &Program) -> u64 {
    let (weights, others): (Vec<_>, Vec<_>) =
        program.tensors.iter().partition(|tensor| matches!(tensor.kind, TensorKind::Weight(_)));
    let vectors_max = others.iter().map(|tensor| tensor.bytes()).max().unwrap_or(0);
    let largest = weights.iter().max_by_key(|tensor| tensor.bytes());
    // Four rows or a strip, and a format's table of at most 2 KiB, are the least that a part can hold.
    let part = largest.map_or(0, |tensor| {
        let table_bytes = match tensor.kind {
            TensorKind::Weight(format) => size_of_val(GpuLayout::of(format).table) as u64,
            _ => 0,
        };
        table_bytes + (tensor.bytes() / 3).max(tensor.kind.rows_together() * tensor.bytes() / tensor.rows.max(1) + 64)
    });
    vectors_max.max(part).next_multiple_of(16)
}

/// Threads that live for one piece of work: slow, but nothing is left to go wrong between two tests.
struct Threads(usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for thread in 0..self.0 {
                scope.spawn(move || (thread..parts).step_by(self.0).for_each(work));
            }
        });
    }
}
