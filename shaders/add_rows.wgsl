// Adds a table's row to each token of the batch, by its position: x[t, :] += table[position + t, :].
//#import shared/step.wgsl

struct Params {
    columns: u32,   // of a row, a multiple of 4
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<vec4<f32>>;     // (context, columns)
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;   // (tokens, columns)

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let words = params.columns >> 2u;
    let at = flat_group(group, groups) * 64u + thread;
    if (at >= step.tokens * words) { return; }
    x[at] += table[step.position * words + at];
}
