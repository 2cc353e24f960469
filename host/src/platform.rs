//! The engine's [`Platform`] on a machine with an operating system.

use std::{sync::Arc, time::Instant};

use hearth_engine::{
    Result,
    device::{
        Workers,
        cpu::{Activations, SimdLevel},
    },
    file::BoxedFuture,
    protocol::{CpuReport, MemoryReport, ModelList},
    runtime::{ModelLocation, Platform},
    text::LocalTime,
};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::{ModelStore, pipelines};

/// Clock, date, chance, models, threads and what the machine is.
pub struct HostPlatform {
    started: Instant,
    models: ModelStore,
    workers: Arc<dyn Workers>,
    gpu_allowed: bool,
    activations: Activations,
}

impl HostPlatform {
    /// A platform whose clock starts now.
    pub fn new(models: ModelStore, workers: Arc<dyn Workers>, gpu_allowed: bool) -> Self {
        let activations = Activations::default();
        Self { started: Instant::now(), models, workers, gpu_allowed, activations }
    }

    /// With other activations than usual.
    pub fn with_activations(self, activations: Activations) -> Self {
        Self { activations, ..self }
    }
}

impl Platform for HostPlatform {
    fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }

    fn local_time(&self) -> Option<LocalTime> {
        let now = jiff::Zoned::now();
        Some(LocalTime {
            year: i32::from(now.year()),
            month: now.month().unsigned_abs(),
            day: now.day().unsigned_abs(),
            hour: now.hour().unsigned_abs(),
            minute: now.minute().unsigned_abs(),
            second: now.second().unsigned_abs(),
        })
    }

    fn random_seed(&self) -> u32 {
        getrandom::u32().unwrap_or_else(|error| {
            tracing::warn!(%error, "the system gives no random numbers; the clock has to do");
            self.started.elapsed().subsec_nanos() ^ std::process::id().rotate_left(16)
        })
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        // Requests to stop arrive on other threads: there is nothing to make way for.
        Box::pin(std::future::ready(()))
    }

    fn find_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<ModelLocation>> {
        Box::pin(std::future::ready(self.models.find(model).map(ModelLocation::from)))
    }

    fn models(&self) -> BoxedFuture<'_, Result<ModelList>> {
        Box::pin(std::future::ready(self.models.list()))
    }

    fn add_model<'a>(&'a self, path: &'a str) -> BoxedFuture<'a, Result<String>> {
        Box::pin(std::future::ready(self.models.add(path)))
    }

    fn remove_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<()>> {
        Box::pin(std::future::ready(self.models.remove(model)))
    }

    fn workers(&self) -> Arc<dyn Workers> {
        Arc::clone(&self.workers)
    }

    fn activations(&self) -> Activations {
        self.activations
    }

    fn cpu(&self) -> CpuReport {
        let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing())).ok();
        let first = system.as_ref().and_then(|system| system.cpus().first());
        let name = first.map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default();
        CpuReport {
            name,
            simd: SimdLevel::detect().name().to_owned(),
            cores: u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(u32::MAX),
            threads: u32::try_from(self.workers.count()).unwrap_or(u32::MAX),
        }
    }

    fn memory(&self) -> MemoryReport {
        let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        // Zeros say that the platform does not tell.
        let Ok(system) = System::new_with_specifics(ram) else { return MemoryReport::default() };
        let machine = MemoryReport { total_bytes: system.total_memory(), available_bytes: system.available_memory() };
        // A container is killed when it passes its own limit, however much the machine has.
        match system.cgroup_limits() {
            Some(limits) if limits.total_memory > 0 => MemoryReport {
                total_bytes: machine.total_bytes.min(limits.total_memory),
                available_bytes: machine.available_bytes.min(limits.free_memory),
            },
            _ => machine,
        }
    }

    fn kept_pipelines(&self, name: &str) -> Option<Vec<u8>> {
        pipelines::read(&pipelines::folder()?, name)
    }

    fn keep_pipelines(&self, name: &str, bytes: &[u8]) {
        if let Some(folder) = pipelines::folder() {
            pipelines::write(&folder, name, bytes);
        }
    }

    fn peak_memory_bytes(&self) -> Option<u64> {
        peak_memory_bytes()
    }

    fn name(&self) -> String {
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
    }

    fn gpu_allowed(&self) -> bool {
        self.gpu_allowed
    }
}

/// What the kernel remembers of this process (proc(5), VmHWM), in KiB.
#[cfg(target_os = "linux")]
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Elsewhere nobody has been asked yet.
#[cfg(not(target_os = "linux"))]
fn peak_memory_bytes() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use hearth_engine::device::Serial;

    use super::*;

    fn platform() -> HostPlatform {
        HostPlatform::new(ModelStore::default(), Arc::new(Serial), false)
    }

    #[test]
    fn the_clock_never_runs_backwards() {
        let platform = platform();
        let times: Vec<f64> = (0..100).map(|_| platform.now_ms()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }

    #[test]
    fn the_date_is_one() {
        let now = platform().local_time().unwrap();
        assert!(now.year >= 2026 && (1..=12).contains(&now.month) && (1..=31).contains(&now.day), "{now:?}");
        assert!(now.hour < 24 && now.minute < 60 && now.second < 60, "{now:?}");
    }

    #[test]
    fn seeds_differ() {
        let platform = platform();
        let seeds: std::collections::HashSet<u32> = (0..8).map(|_| platform.random_seed()).collect();
        assert!(seeds.len() > 1);
    }

    #[test]
    fn the_machine_is_described() {
        let platform = platform();
        let (cpu, memory) = (platform.cpu(), platform.memory());
        assert!(cpu.cores >= 1 && cpu.threads == 1 && !cpu.simd.is_empty(), "{cpu:?}");
        assert!(memory.total_bytes >= memory.available_bytes && memory.total_bytes > 0, "{memory:?}");
        assert!(platform.name().contains(std::env::consts::ARCH));
        if cfg!(target_os = "linux") {
            assert!(platform.peak_memory_bytes().is_some_and(|bytes| (1 << 20..memory.total_bytes).contains(&bytes)));
        }
    }
}
