//! Which GPUs there are, and how one is opened.

use super::page::{self, PageAdapter};
use crate::{
    Error, Result,
    protocol::{AdapterReport, LimitsReport},
};

/// All adapters, best first.
#[cfg(not(target_arch = "wasm32"))]
pub async fn find() -> Vec<wgpu::Adapter> {
    // One for the whole process: a driver that is unloaded and loaded again may no longer show its GPU, or crash.
    static INSTANCE: std::sync::OnceLock<wgpu::Instance> = std::sync::OnceLock::new();
    let instance = INSTANCE.get_or_init(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// The adapter that the browser gives, if it gives one.
#[cfg(target_arch = "wasm32")]
pub async fn find() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}

#[cfg(not(target_arch = "wasm32"))]
fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// Why the wanted adapter is not there, in words.
pub fn absence_reason(count: usize, wanted: Option<usize>) -> String {
    match wanted {
        Some(index) if count > 0 => format!("adapter {index} was asked for, but there are {count}"),
        _ if cfg!(target_arch = "wasm32") => "the browser offers no WebGPU adapter".into(),
        _ => "no Vulkan, Metal or Direct3D 12 driver shows a GPU".into(),
    }
}

/// What an adapter is.
pub fn report(adapter: &wgpu::Adapter, page: &PageAdapter) -> AdapterReport {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    let known = [
        (wgpu::Features::SHADER_F16, "shader-f16"),
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
        (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative-matrix"),
    ];
    let has_subgroups = features.contains(wgpu::Features::SUBGROUP) || page.has(page::SUBGROUPS);
    let known = known.iter().filter(|(feature, _)| features.contains(*feature)).map(|(_, name)| (*name).to_owned());
    let names = [&info.name, &page.name].into_iter().find(|name| !name.is_empty());
    AdapterReport {
        name: names.map_or_else(|| "WebGPU adapter".to_owned(), String::clone),
        backend: format!("{:?}", info.backend),
        kind: format!("{:?}", info.device_type),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        is_software: info.device_type == wgpu::DeviceType::Cpu,
        features: known.chain(page.features.iter().cloned()).collect(),
        limits: LimitsReport {
            max_buffer_bytes: limits.max_buffer_size,
            max_storage_binding_bytes: limits.max_storage_buffer_binding_size,
            max_workgroup_storage_bytes: limits.max_compute_workgroup_storage_size,
            max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            subgroup_size_min: if has_subgroups { info.subgroup_min_size } else { 0 },
            subgroup_size_max: if has_subgroups { info.subgroup_max_size } else { 0 },
        },
    }
}

/// Optional features that are used where there are any.
const USED: wgpu::Features =
    wgpu::Features::SUBGROUP.union(wgpu::Features::TIMESTAMP_QUERY).union(wgpu::Features::PIPELINE_CACHE);

/// Opens a device with the sizes that the adapter offers and otherwise WebGPU's default limits, which every kernel
/// keeps to.
pub async fn open(adapter: &wgpu::Adapter) -> Result<(wgpu::Device, wgpu::Queue)> {
    let offered = adapter.limits();
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("hearth"),
        required_features: adapter.features() & USED,
        required_limits: wgpu::Limits {
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            max_buffer_size: offered.max_buffer_size,
            ..wgpu::Limits::default()
        },
        ..Default::default()
    };
    adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::NoDevice { wanted: "GPU".into(), reason: error.to_string() })
}
