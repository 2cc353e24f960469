// Layer normalisation (Ba, Kiros and Hinton 2016, equation 4):
// out[t, i] = (x[t, i] - mean(x[t, :])) / sqrt(variance(x[t, :]) + epsilon) * weight[i] + bias[i]
// The variance is that of the differences from the mean: of squares alone, a large mean would leave nothing.
//#import shared/step.wgsl

struct Params {
    columns: u32,   // length of a row, a multiple of 4
    epsilon: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;         // (tokens, columns)
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;    // (columns)
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;      // (columns)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // (tokens, columns)

//#import shared/reduce.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.tokens) { return; }
    let words = params.columns >> 2u;
    let row = token * words;
    var values = vec4<f32>();
    for (var i = thread; i < words; i += 64u) { values += x[row + i]; }
    let mean = dot(workgroup_sum4(values, thread), vec4<f32>(1.0)) / f32(params.columns);
    var squares = vec4<f32>();
    for (var i = thread; i < words; i += 64u) {
        let difference = x[row + i] - mean;
        squares += difference * difference;
    }
    let sum = dot(workgroup_sum4(squares, thread), vec4<f32>(1.0));
    let factor = inverseSqrt(sum / f32(params.columns) + params.epsilon);
    for (var i = thread; i < words; i += 64u) {
        out[row + i] = (x[row + i] - mean) * factor * weight[i] + bias[i];
    }
}
