// Puts a batch's keys or values where attention reads them: cache[h, position + t, :] = x[t, h, :], rounded as the cache's
// format wants.
//#import shared/step.wgsl

struct Params {
    kv_heads: u32,
    head_dim: u32,      // a multiple of 4
    context: u32,       // tokens the cache holds
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;             // (tokens, kv_heads, head_dim)
// (kv_heads, context, head_dim). Words, and no vec4s as where it is read: neighbours' scales share a vec4.
@group(0) @binding(3) var<storage, read_write> cache: array<u32>;

var<private> row_at: u32;   // in x

fn kv_source(word: u32) -> vec4<f32> {
    return x[row_at + word];
}

//#import formats/shared/kv_round.wgsl

fn write_four(at: u32, four: vec4<u32>) {
    cache[at * 4u] = four.x;
    cache[at * 4u + 1u] = four.y;
    cache[at * 4u + 2u] = four.z;
    cache[at * 4u + 3u] = four.w;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.tokens) { return; }
    let words = params.head_dim >> 2u;
    let row = kv_row(words);
    let position = step.position + token;
    for (var i = thread; i < params.kv_heads * row; i += 64u) {
        let head = i / row;
        let nth = i % row;
        let head_at = head * kv_head(words, params.context);
        row_at = (token * params.kv_heads + head) * words;
        var four: vec4<u32>;
        if (KV == 0u) { four = bitcast<vec4<u32>>(kv_source(nth)); } else { four = kv_packed(nth, words); }
        write_four(head_at + position * row + nth, four);
        if (KV != 0u && nth < kv_scale_words(words)) {
            cache[kv_scale_at(head_at, position, nth * 16u, words, params.context)] = kv_scales(nth, words);
        }
    }
}
