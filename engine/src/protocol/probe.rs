//! What a device can do.

use serde::{Deserialize, Serialize};

/// What the probe found. Sizes in bytes; 0 where the platform does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ProbeReport {
    /// [`super::VERSION`].
    pub protocol_version: u32,
    /// The engine's version.
    pub engine_version: String,
    /// "linux x86_64", "wasm32", ...
    pub platform: String,
    /// Each GPU that could run the engine, best first.
    pub adapters: Vec<AdapterReport>,
    /// Why there is no adapter, if there is none.
    pub no_adapter_reason: Option<String>,
    /// The CPU.
    pub cpu: CpuReport,
    /// Memory of the machine, as far as the platform tells.
    pub memory: MemoryReport,
    /// The device that `auto` would take, and why.
    pub recommended: Recommendation,
}

/// One GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct AdapterReport {
    /// Its name.
    pub name: String,
    /// "Vulkan", "Metal", "Dx12", "BrowserWebGpu".
    pub backend: String,
    /// "DiscreteGpu", "IntegratedGpu", "VirtualGpu", "Cpu" or "Other".
    pub kind: String,
    /// The driver, as it describes itself.
    pub driver: String,
    /// Whether it is a program on the CPU that plays a GPU: right, but slow.
    pub is_software: bool,
    /// Which optional features it has, among those the engine can use.
    pub features: Vec<String>,
    /// The limits that matter to the engine.
    pub limits: LimitsReport,
}

/// Limits of a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct LimitsReport {
    /// The largest buffer.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub max_buffer_bytes: u64,
    /// The largest part of a buffer that a shader sees at once.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub max_storage_binding_bytes: u64,
    /// Memory that a workgroup shares.
    pub max_workgroup_storage_bytes: u32,
    /// Threads of a workgroup.
    pub max_workgroup_invocations: u32,
    /// The least and the most threads of a subgroup; 0 where there are none.
    pub subgroup_size_min: u32,
    /// See `subgroup_size_min`.
    pub subgroup_size_max: u32,
}

/// The CPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct CpuReport {
    /// Its name, where the platform tells.
    pub name: String,
    /// The SIMD level that the engine uses: "avx2", "neon", "simd128" or "scalar".
    pub simd: String,
    /// Cores that can be used.
    pub cores: u32,
    /// Threads that the engine uses.
    pub threads: u32,
}

/// Memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct MemoryReport {
    /// In all.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub total_bytes: u64,
    /// Free for use.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub available_bytes: u64,
}

/// The device to take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Recommendation {
    /// Which kind.
    pub device: super::DeviceChoice,
    /// Why, in words for a person.
    pub reason: String,
}
