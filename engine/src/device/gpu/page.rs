//! What a web page knows of its GPU, and wgpu's browser backend does not: it has names for 16 features, and subgroups
//! are not among them. The page asks for them itself, beside wgpu; wgpu hands shaders through as they are.

/// What the page found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct PageAdapter {
    /// The adapter's name, put together from what the browser gives away.
    pub name: String,
    /// Features of the adapter that every device is asked for beside wgpu, and WGSL's optional parts that the browser
    /// has, all by the names of their specifications.
    pub features: Vec<String>,
}

/// WebGPU's name of the feature without which there is no subgroup in a shader.
pub const SUBGROUPS: &str = "subgroups";

/// WGSL's name for products of packed integers, which are not an adapter's feature but a browser's.
pub const PACKED_PRODUCTS: &str = "packed_4x8_integer_dot_product";

/// Stands in front of shaders with subgroups in a browser. naga wants no such line, and takes none in some versions.
pub const ENABLE_SUBGROUPS: &str = "enable subgroups;\n";

/// All that the shaders use of subgroups. What a browser understands of them has grown with time.
const TRIAL: &str = "
@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32) {
    out[subgroup] = subgroupAdd(vec4<f32>(f32(subgroups))) + subgroupMax(vec4<f32>(f32(subgroup)));
}
";

impl PageAdapter {
    /// Whether it has a feature.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|own| own == feature)
    }
}

/// Whether a browser's device takes a shader with subgroups: it may have been opened without them, or be too old for
/// some of what the shaders use.
pub async fn takes_subgroups(device: &wgpu::Device) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let source = wgpu::ShaderSource::Wgsl([ENABLE_SUBGROUPS, TRIAL].concat().into());
    let label = Some("subgroups");
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
    let _pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    scope.pop().await.is_none()
}
