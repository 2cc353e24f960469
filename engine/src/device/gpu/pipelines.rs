//! Compiled shaders, each once.

use std::{collections::HashMap, sync::Arc};
#[cfg(not(target_arch = "wasm32"))]
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use super::{fill::filled, matrices::in_chromium, page::ENABLE_SUBGROUPS};
use crate::{
    device::Workers,
    kernel::{Access, Reading, Variant, shader::Kernel},
    tensor::Format,
};

/// A compiled shader and how its bindings are laid out.
#[derive(Clone)]
pub struct Compiled {
    /// The shader.
    pub pipeline: wgpu::ComputePipeline,
    /// Its bindings.
    pub layout: wgpu::BindGroupLayout,
}

/// Values of a shader's override constants, by their names.
pub type Constants = Vec<(&'static str, u32)>;

/// The shaders compiled so far.
pub struct Pipelines {
    subgroups: bool,
    /// [`super::GpuOptions::fill_shared`].
    fill_shared: Option<u32>,
    /// What the driver compiled in an earlier start.
    pub cache: Option<wgpu::PipelineCache>,
    /// Who compiles several at once; nobody in a browser, which does so by itself.
    pub workers: Option<Arc<dyn Workers>>,
    compiled: HashMap<(Variant, Constants), Compiled>,
}

impl Pipelines {
    /// With or without subgroups, and with what shared memory is filled first.
    pub fn new(subgroups: bool, fill_shared: Option<u32>) -> Self {
        Self { subgroups, fill_shared, cache: None, workers: None, compiled: HashMap::new() }
    }

    /// What a kernel for weights of that format, read in that way, is called here.
    pub fn variant(&self, kernel: Kernel, format: Option<Format>, reading: Reading) -> Variant {
        Variant { kernel, format, subgroups: self.subgroups, reading }
    }

    /// Compiles what is wanted and not there yet, all at once if there are workers.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn compile_all(&mut self, device: &wgpu::Device, wanted: HashSet<(Variant, Constants)>) {
        let Some(workers) = self.workers.clone() else { return };
        let wanted: Vec<_> = wanted.into_iter().filter(|wanted| !self.compiled.contains_key(wanted)).collect();
        let made = Mutex::new(Vec::with_capacity(wanted.len()));
        let (fill, cache) = (self.fill_shared, self.cache.as_ref());
        workers.run(wanted.len(), &|part| {
            let (variant, constants) = &wanted[part];
            let compiled = compile(device, *variant, constants, fill, cache);
            made.lock().unwrap_or_else(PoisonError::into_inner).push((wanted[part].clone(), compiled));
        });
        self.compiled.extend(made.into_inner().unwrap_or_else(PoisonError::into_inner));
    }

    /// A variant's pipeline with these constants.
    pub fn get(&mut self, device: &wgpu::Device, variant: Variant, constants: &Constants) -> Compiled {
        let (fill, cache) = (self.fill_shared, self.cache.as_ref());
        let made = self.compiled.entry((variant, constants.clone()));
        made.or_insert_with(|| compile(device, variant, constants, fill, cache)).clone()
    }
}

/// A variant's text, as this platform wants it.
fn source_of(variant: Variant, fill: Option<u32>) -> String {
    // The build script made every permutation of every kernel; an empty text would show as a validation error.
    let mut source = variant.source().unwrap_or_default();
    if cfg!(target_arch = "wasm32") {
        source = if source.contains("enable wgpu_cooperative_matrix;") {
            in_chromium(&source)
        } else if variant.subgroups {
            [ENABLE_SUBGROUPS, &source].concat()
        } else {
            source
        };
    }
    if let Some(bits) = fill { filled(&source, bits) } else { source }
}

fn compile(
    device: &wgpu::Device,
    variant: Variant,
    constants: &Constants,
    fill: Option<u32>,
    cache: Option<&wgpu::PipelineCache>,
) -> Compiled {
    let constants: Vec<(&str, f64)> = constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
    let label = Some(variant.kernel.name());
    let source = wgpu::ShaderSource::Wgsl(source_of(variant, fill).into());
    let checks = if cfg!(target_arch = "wasm32") {
        wgpu::ShaderRuntimeChecks::checked()
    } else {
        wgpu::ShaderRuntimeChecks::unchecked()
    };
    let descriptor = wgpu::ShaderModuleDescriptor { label, source };
    // SAFETY: the shaders are our own and validated by the build script. What they index with comes from `Params`,
    // which the plan's recorder derives from checked shapes, and from `Step`, which the session keeps within the
    // context; token numbers are compared with the table's rows in the shader itself.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let uniform = wgpu::BufferBindingType::Uniform;
    let storage = variant
        .kernel
        .bindings()
        .iter()
        .map(|access| wgpu::BufferBindingType::Storage { read_only: *access == Access::Read });
    let entries: Vec<wgpu::BindGroupLayoutEntry> = [uniform, uniform]
        .into_iter()
        .chain(storage)
        .enumerate()
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Each kernel writes shared memory before it reads it.
            zero_initialize_workgroup_memory: false,
            constants: &constants,
        },
        cache,
    });
    Compiled { pipeline, layout }
}
