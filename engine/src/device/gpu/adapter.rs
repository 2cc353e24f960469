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

/// What products in cooperative matrices need.
const COOPERATIVE: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// Workgroup memory that they need.
pub const COOPERATIVE_BYTES: u32 = 48 << 10;

/// Whether products of a batch can be computed in the cooperative matrices that `matmul_coop` knows: 16 by 16, in
/// subgroups of 32 threads. In a page that is what the adapter offers; whether its device takes them is to be tried.
pub fn is_cooperative(adapter: &wgpu::Adapter, page: &PageAdapter) -> bool {
    use wgpu::CooperativeScalarType::{F16, F32};
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let fits = |of: &wgpu::CooperativeMatrixProperties| {
        [of.m_size, of.n_size, of.k_size] == [16; 3] && of.ab_type == F16 && of.cr_type == F32
    };
    let features = adapter.features();
    let natively = features.contains(COOPERATIVE) && adapter.cooperative_matrix_properties().iter().any(fits);
    let in_page =
        features.contains(wgpu::Features::SHADER_F16) && page.has(page::SUBGROUPS) && page.has(page::MATRICES);
    (natively || in_page)
        && [info.subgroup_min_size, info.subgroup_max_size] == [32; 2]
        && limits.max_compute_workgroup_storage_size >= COOPERATIVE_BYTES
}

/// Opens a device with the sizes that the adapter offers and otherwise WebGPU's default limits, which every kernel
/// keeps to but those in cooperative matrices.
pub async fn open(adapter: &wgpu::Adapter, page: &PageAdapter) -> Result<(wgpu::Device, wgpu::Queue)> {
    let offered = adapter.limits();
    let mut descriptor = wgpu::DeviceDescriptor {
        label: Some("hearth"),
        required_features: adapter.features() & USED,
        required_limits: wgpu::Limits {
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            max_buffer_size: offered.max_buffer_size,
            ..wgpu::Limits::default()
        },
        ..Default::default()
    };
    if is_cooperative(adapter, page) {
        // In a page wgpu knows F16 alone of them; the page asks for the others.
        descriptor.required_features |= adapter.features() & COOPERATIVE;
        descriptor.required_limits.max_compute_workgroup_storage_size = COOPERATIVE_BYTES;
        // SAFETY: this only lets the feature be asked for, whose use is `matmul_coop`'s: it loads and stores whole
        // matrices within workgroup memory, in control flow that is the same for all of a workgroup.
        descriptor.experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
    }
    adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::NoDevice { wanted: "GPU".into(), reason: error.to_string() })
}
