// Adds a branch to the residual stream: out[t, c] += factor * x[t, c].
//#import shared/step.wgsl

struct Params {
    columns: u32,   // a multiple of 4
    factor: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;           // (tokens, columns)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (tokens, columns)

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = flat_group(group, groups) * 64u + thread;
    if (at >= step.tokens * (params.columns >> 2u)) { return; }
    out[at] += params.factor * x[at];
}
