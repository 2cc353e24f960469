//! What a web page knows of its GPU, and wgpu's browser backend does not: it has names for 16 features, and subgroups
//! are not among them. The page asks for them itself, beside wgpu; wgpu hands shaders through as they are.

use super::matrices::in_chromium;

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

/// Chromium's name for matrices that a subgroup multiplies together. The page names it only where there are those that the
/// kernels use: 16 by 16, of F16, with sums in F32.
pub const MATRICES: &str = "chromium-experimental-subgroup-matrix";

/// WGSL's name for products of packed integers, which are not an adapter's feature but a browser's.
pub const PACKED_PRODUCTS: &str = "packed_4x8_integer_dot_product";

/// Stands in front of shaders with subgroups in a browser. naga wants no such line, and takes none in some versions.
pub const ENABLE_SUBGROUPS: &str = "enable subgroups;\n";

/// All that the shaders use of subgroups. What a browser understands of them has grown with time.
const TRIAL: &str = "
@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) thread: u32,
) {
    let sum = subgroupAdd(vec4<f32>(f32(subgroups))) + subgroupMax(vec4<f32>(f32(subgroup)));
    out[subgroup] = sum + subgroupShuffleXor(f32(thread * size), 1u);
}
";

/// All that the shaders use of such matrices, in wgpu's words.
const MATRICES_TRIAL: &str = "
enable f16;
enable wgpu_cooperative_matrix;
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
var<workgroup> tile: array<vec4<f16>, 64>;
var<workgroup> shown: array<f32, 256>;
var<private> sum: coop_mat16x16<f32, C>;
fn multiply(at: u32) {
    let tokens = coopLoadT<coop_mat16x16<f16, A>>(&tile[at], 4u);
    var rows: coop_mat16x16<f16, B>;
    rows = coopLoad<coop_mat16x16<f16, B>>(&tile[at], 4u);
    sum = coopMultiplyAdd(tokens, rows, sum);
    let total = sum;
    coopStoreT(total, &shown[at], 16u);
}
@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32) {
    tile[thread] = vec4<f16>(f16(thread));
    tile[thread + 32u] = vec4<f16>();
    workgroupBarrier();
    multiply(subgroup * 64u);
    workgroupBarrier();
    out[thread] = shown[thread];
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
    takes(device, [ENABLE_SUBGROUPS, TRIAL].concat()).await
}

/// The same for matrices that a subgroup multiplies together.
pub async fn takes_matrices(device: &wgpu::Device) -> bool {
    takes(device, in_chromium(MATRICES_TRIAL)).await
}

async fn takes(device: &wgpu::Device, source: String) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let source = wgpu::ShaderSource::Wgsl(source.into());
    let label = Some("trial");
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
