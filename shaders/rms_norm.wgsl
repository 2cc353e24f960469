// Root mean square normalisation (Zhang and Sennrich 2019, equation 4):
// out[t, r, i] = x[t, r, i] / sqrt(mean(x[t, r, :]^2) + epsilon) * weight[i]
//#import shared/step.wgsl

struct Params {
    columns: u32,   // length of a row, a multiple of 4
    epsilon: f32,
    rows: u32,      // of a token
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;         // (tokens, rows, columns)
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;    // (columns)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // (tokens, rows, columns)

//#import shared/reduce.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.y;
    if (token >= step.tokens) { return; }
    let words = params.columns >> 2u;
    let row = (token * params.rows + group.x) * words;
    var squares = vec4<f32>();
    for (var i = thread; i < words; i += 64u) {
        let value = x[row + i];
        squares += value * value;
    }
    let sum = dot(workgroup_sum4(squares, thread), vec4<f32>(1.0));
    let factor = inverseSqrt(sum / f32(params.columns) + params.epsilon);
    for (var i = thread; i < words; i += 64u) {
        out[row + i] = x[row + i] * factor * weight[i];
    }
}
