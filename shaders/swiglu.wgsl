// The gate of a feed-forward layer (Shazeer 2020, equation 6): out[i] = silu(gate[i]) * up[i].
//#import shared/step.wgsl

struct Params {
    columns: u32,   // of a row, a multiple of 4
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gate: array<vec4<f32>>;        // (tokens, columns)
@group(0) @binding(3) var<storage, read> up: array<vec4<f32>>;          // (tokens, columns)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;   // (tokens, columns)

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = flat_group(group, groups) * 64u + thread;
    if (at >= step.tokens * (params.columns >> 2u)) { return; }
    let value = gate[at];
    out[at] = value / (1.0 + exp(-value)) * up[at];
}
