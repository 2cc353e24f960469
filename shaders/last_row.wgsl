// The last token's row of a batch: out[:] = x[tokens - 1, :]. Only it is worth a product with the vocabulary.
//#import shared/step.wgsl

struct Params {
    columns: u32,   // a multiple of 4
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;           // (tokens, columns)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (columns)

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let words = params.columns >> 2u;
    let at = group.x * 64u + thread;
    if (at >= words) { return; }
    out[at] = x[(step.tokens - 1u) * words + at];
}
