// Adds a normed branch to the residual stream, for one token: out[c] += factor * x[c] / sqrt(mean(x^2) + epsilon) *
// weight[c], as `rms_norm` and `add_scaled` do it one after the other.
//#axes subgroups
//#import shared/step.wgsl

struct Params {
    columns: u32,   // a multiple of 4
    epsilon: f32,
    factor: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;           // (columns)
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;      // (columns)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;   // (columns)

//#import shared/reduce.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
//#if subgroups
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
//#end
) {
//#if subgroups
    subgroup_index = subgroup;
    subgroup_count = subgroups;
//#end
    let words = params.columns >> 2u;
    var squares = vec4<f32>();
    for (var i = thread; i < words; i += 64u) {
        let value = x[i];
        squares += value * value;
    }
    let sum = dot(workgroup_sum4(squares, thread), vec4<f32>(1.0));
    let factor = params.factor * inverseSqrt(sum / f32(params.columns) + params.epsilon);
    // Each workgroup takes the same sum, and adds a part.
    let at = group.x * 64u + thread;
    if (at < words) { out[at] += factor * x[at] * weight[at]; }
}
