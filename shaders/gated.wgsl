// The gate of a feed-forward layer (Shazeer 2020, equation 6): out[i] = f(gate[i]) * up[i], where f is silu or, if
// `activation` is 1, gelu in its tanh form (Hendrycks and Gimpel 2016).
//#import shared/step.wgsl

struct Params {
    columns: u32,       // of a row, a multiple of 4
    activation: u32,    // 0: silu, 1: gelu by tanh
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
    var slope = value;
    // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), with u = sqrt(2 / pi) (x + 0.044715 x^3).
    if (params.activation == 1u) { slope = value * (1.5957692 + 0.071354814 * value * value); }
    out[at] = value / (1.0 + exp(-slope)) * up[at];
}
