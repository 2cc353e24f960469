// Puts together what `attend` left for each piece of the context: mixes of different maxima and sums (Milakov and
// Gimelshein 2018, section 3.1). A workgroup has one head.
//#import shared/step.wgsl

struct Params {
    heads: u32,
    head_dim: u32,      // a multiple of 4, at most 256
    window: u32,
    split_keys: u32,
    splits_max: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>;    // (splits, heads, head_dim / 4 + 1)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (heads, head_dim)

//#import shared/splits.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let words = params.head_dim >> 2u;
    if (thread >= words) { return; }
    let visible = step.position + 1u - first_visible(step.position, params.window);
    let splits = splits_of(visible, params.split_keys, params.splits_max);
    let stride = params.heads * (words + 1u);
    let first = group.x * (words + 1u);
    var highest = partials[first + words].x;
    for (var i = 1u; i < splits; i++) { highest = max(highest, partials[first + i * stride + words].x); }
    var total = 0.0;
    var mixed = vec4<f32>();
    for (var i = 0u; i < splits; i++) {
        let at = first + i * stride;
        let shrink = exp(partials[at + words].x - highest);
        total += shrink * partials[at + words].y;
        mixed += shrink * partials[at + thread];
    }
    out[group.x * words + thread] = mixed / total;
}
