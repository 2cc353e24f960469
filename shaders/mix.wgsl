// Puts the answers of each token's experts together: out[t, c] = sum_s share[t, s] * x[t, s, c], or added to what is
// there if `accumulate` is 1.
//#import shared/step.wgsl

struct Params {
    columns: u32,   // a multiple of 4
    slots: u32,     // experts that a token went to
    accumulate: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;           // (tokens, slots, columns)
@group(0) @binding(3) var<storage, read> routing: array<vec2<f32>>;     // (tokens, slots): expert, share
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;   // (tokens, columns)

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let words = params.columns >> 2u;
    let at = flat_group(group, groups) * 64u + thread;
    if (at >= step.tokens * words) { return; }
    let token = at / words;
    var sum = vec4<f32>();
    if (params.accumulate == 1u) { sum = out[at]; }
    for (var slot = 0u; slot < params.slots; slot++) {
        let pair = token * params.slots + slot;
        sum += routing[pair].y * x[pair * words + at % words];
    }
    out[at] = sum;
}
