//! `probe`: what this machine can do.

use hearth_engine::protocol::{AdapterReport, Event, ProbeReport, Request};
use hearth_host::EngineHandle;

use crate::{
    output::{Output, Stop, bytes},
    session::request,
};

pub fn probe(engine: &EngineHandle, output: &Output) -> Result<(), Stop> {
    let last = request(engine, Request::Probe, |_| Ok(()))?;
    let Event::Probed(report) = last else { return Ok(()) };
    if output.json { output.json(&report) } else { print(&report, output) }
}

fn print(report: &ProbeReport, output: &Output) -> Result<(), Stop> {
    output.line(format!("hearth    {} on {}", report.engine_version, report.platform))?;
    let cpu = &report.cpu;
    let name = if cpu.name.is_empty() { "unnamed" } else { &cpu.name };
    output.line(format!("cpu       {name}: {}, {} cores, {} threads", cpu.simd, cpu.cores, cpu.threads))?;
    let (available, total) = (bytes(report.memory.available_bytes), bytes(report.memory.total_bytes));
    output.line(format!("memory    {available} of {total} available"))?;
    for adapter in &report.adapters {
        print_adapter(adapter, output)?;
    }
    if let Some(reason) = &report.no_adapter_reason {
        output.line(format!("gpu       none: {reason}"))?;
    }
    let recommended = serde_json::to_value(report.recommended.device).unwrap_or_default();
    let device = recommended.as_str().unwrap_or("auto");
    output.line(format!("auto      {device}: {}", report.recommended.reason))
}

fn print_adapter(adapter: &AdapterReport, output: &Output) -> Result<(), Stop> {
    let software = if adapter.is_software { ", a program on the CPU" } else { "" };
    output.line(format!("gpu       {} ({}, {}{software})", adapter.name, adapter.backend, adapter.kind))?;
    let features = if adapter.features.is_empty() { "none".to_owned() } else { adapter.features.join(", ") };
    output.line(format!("          driver {}", adapter.driver))?;
    output.line(format!("          features {features}"))?;
    let limits = &adapter.limits;
    output.line(format!(
        "          buffer {}, binding {}, workgroup {} and {} threads, subgroup {} to {}",
        bytes(limits.max_buffer_bytes),
        bytes(limits.max_storage_binding_bytes),
        bytes(u64::from(limits.max_workgroup_storage_bytes)),
        limits.max_workgroup_invocations,
        limits.subgroup_size_min,
        limits.subgroup_size_max
    ))
}
