// Puts a batch's keys or values where attention reads them: cache[h, position + t, :] = x[t, h, :].
//#import shared/step.wgsl

struct Params {
    kv_heads: u32,
    head_dim: u32,      // a multiple of 4
    context: u32,       // tokens the cache holds
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;             // (tokens, kv_heads, head_dim)
@group(0) @binding(3) var<storage, read_write> cache: array<vec4<f32>>;   // (kv_heads, context, head_dim)

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.tokens) { return; }
    let words = params.head_dim >> 2u;
    for (var i = thread; i < params.kv_heads * words; i += 64u) {
        let head = i / words;
        let word = i % words;
        cache[(head * params.context + step.position + token) * words + word] = x[token * params.kv_heads * words + i];
    }
}
