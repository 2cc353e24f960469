// Multiplies each token's row by a number, in place, and bends what comes out below `softcap` if that is not 0:
// x[t, c] = softcap * tanh(x[t, c] * factor / softcap).
//#import shared/step.wgsl

struct Params {
    columns: u32,
    factor: f32,
    softcap: f32,   // 0: none
    single: u32,    // 1: only one row is meant, whatever the batch
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;     // (tokens, columns)

//#import shared/softcap.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let rows = select(step.tokens, 1u, params.single == 1u);
    let at = flat_group(group, groups) * 64u + thread;
    if (at >= rows * params.columns) { return; }
    var value = x[at] * params.factor;
    if (params.softcap > 0.0) { value = softcap(value, params.softcap); }
    x[at] = value;
}
