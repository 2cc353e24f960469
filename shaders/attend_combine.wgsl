// Puts together what `attend` left for each piece of the context: mixes of different maxima and sums (Milakov and
// Gimelshein 2018, section 3.1). A workgroup has one head.
//#import shared/step.wgsl

struct Params {
    heads: u32,
    head_dim: u32,      // a multiple of 4, at most 256
    window: u32,
    split_keys: u32,
    splits_max: u32,    // at most 64
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>;    // (splits, heads, head_dim / 4 + 1)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (heads, head_dim)

//#import shared/splits.wgsl

var<workgroup> ends: array<vec2<f32>, 64>;  // of each piece: its highest score, and its sum of shares

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let words = params.head_dim >> 2u;
    let visible = step.position + 1u - first_visible(step.position, params.window);
    let splits = splits_of(visible, params.split_keys, params.splits_max);
    let stride = params.heads * (words + 1u);
    let first = group.x * (words + 1u);
    if (thread < splits) { ends[thread] = partials[first + thread * stride + words].xy; }
    workgroupBarrier();
    if (thread >= words) { return; }
    var highest = ends[0].x;
    for (var i = 1u; i < splits; i++) { highest = max(highest, ends[i].x); }
    var total = 0.0;
    var mixed = vec4<f32>();
    for (var i = 0u; i < splits; i += 4u) {
        // Four loads at once, the last of them perhaps for nothing: one after the other would wait for memory each time.
        let nth = min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(splits - 1u));
        let at = vec4<u32>(first + thread) + nth * stride;
        let a = partials[at.x];
        let b = partials[at.y];
        let c = partials[at.z];
        let d = partials[at.w];
        let scores = vec4<f32>(ends[nth.x].x, ends[nth.y].x, ends[nth.z].x, ends[nth.w].x);
        let is_there = vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(splits);
        let shrink = select(vec4<f32>(), exp(scores - highest), is_there);
        total += dot(shrink, vec4<f32>(ends[nth.x].y, ends[nth.y].y, ends[nth.z].y, ends[nth.w].y));
        mixed += shrink.x * a + shrink.y * b + shrink.z * c + shrink.w * d;
    }
    out[group.x * words + thread] = mixed / total;
}
