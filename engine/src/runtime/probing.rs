//! What this device can do.

use super::Platform;
use crate::{
    device::GpuDevice,
    profile,
    protocol::{self, AdapterReport, DeviceChoice, ProbeReport, Recommendation},
};

/// The adapters that may be used, and why there is none if there is none.
pub async fn adapters(platform: &dyn Platform) -> (Vec<AdapterReport>, String) {
    if !platform.gpu_allowed() {
        let absence = if cfg!(target_arch = "wasm32") {
            "this page has no WebGPU, or it is switched off"
        } else {
            "GPUs are switched off here"
        };
        return (Vec::new(), absence.into());
    }
    let adapters = GpuDevice::adapters_of(&platform.page_adapter()).await;
    let absence = if adapters.is_empty() { GpuDevice::absence() } else { String::new() };
    (adapters, absence)
}

/// Looks at everything, and allocates nothing.
pub async fn probe(platform: &dyn Platform) -> ProbeReport {
    let (adapters, absence) = adapters(platform).await;
    let recommended = match profile::choose(DeviceChoice::Auto, &adapters, &absence) {
        Ok(choice) => Recommendation {
            device: if choice.adapter.is_some() { DeviceChoice::Gpu } else { DeviceChoice::Cpu },
            reason: choice.reason,
        },
        Err(error) => Recommendation { device: DeviceChoice::Cpu, reason: error.to_string() },
    };
    ProbeReport {
        protocol_version: protocol::VERSION,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        platform: platform.name(),
        no_adapter_reason: adapters.is_empty().then_some(absence),
        adapters,
        cpu: platform.cpu(),
        memory: platform.memory(),
        recommended,
    }
}
