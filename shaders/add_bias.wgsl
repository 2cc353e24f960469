// Adds a vector to each token's row, in place: x[t, c] += bias[c].
//#import shared/step.wgsl

struct Params {
    columns: u32,   // a multiple of 4
    single: u32,    // 1: only one row is meant, whatever the batch
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;        // (columns)
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;     // (tokens, columns)

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let words = params.columns >> 2u;
    let at = flat_group(group, groups) * 64u + thread;
    let rows = select(step.tokens, 1u, params.single == 1u);
    if (at >= rows * words) { return; }
    x[at] += bias[at % words];
}
