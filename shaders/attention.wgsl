// Attention of one query head on one token, over the cache, in tiles of 64 keys with a running maximum and sum
// (Milakov and Gimelshein 2018; Dao et al. 2022): no score ever leaves the workgroup. Several query heads share one
// key head (Ainslie et al. 2023).
//#import shared/step.wgsl

struct Params {
    heads: u32,
    kv_heads: u32,
    head_dim: u32,      // a multiple of 4, at most 256
    context: u32,       // tokens the cache holds
    scale: f32,         // of a score before the softmax
    softcap: f32,       // bends scores below it; 0: none
    window: u32,        // a token sees as many positions, itself the last; 0: all before it
    causal: u32,        // 0: every token sees the whole batch
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>;         // (tokens, heads, head_dim)
@group(0) @binding(3) var<storage, read> keys: array<vec4<u32>>;            // (kv_heads, context, head_dim)
@group(0) @binding(4) var<storage, read> values: array<vec4<u32>>;          // (kv_heads, context, head_dim)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;       // (tokens, heads, head_dim)

//#import shared/reduce.wgsl
//#import shared/kv_read.wgsl
//#import shared/softcap.wgsl

const TILE = 64u;
const LOWEST = -3.0e38;
var<workgroup> query: array<vec4<f32>, 64>;
var<workgroup> weight: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let token = group.y;
    if (token >= step.tokens) { return; }
    let words = params.head_dim >> 2u;
    let at = (token * params.heads + head) * words;
    if (thread < words) { query[thread] = queries[at + thread] * params.scale; }
    let cache_at = (head / (params.heads / params.kv_heads)) * kv_head(words, params.context);
    let position = step.position + token;
    let visible = select(step.position + step.tokens, position + 1u, params.causal == 1u);
    var first = 0u;
    if (params.window > 0u && position >= params.window) { first = position + 1u - params.window; }
    var highest = LOWEST;
    var total = 0.0;
    var mixed = vec4<f32>();    // of the values so far; thread i holds the head's numbers 4 i to 4 i + 3
    for (var tile = first; tile < visible; tile += TILE) {
        let key = tile + thread;
        workgroupBarrier();
        var score = LOWEST;
        if (key < visible) {
            var sum = 0.0;
            for (var i = 0u; i < words; i++) { sum += dot(query[i], cached_key(cache_at, key, i, words, params.context)); }
            score = sum;
            if (params.softcap > 0.0) { score = softcap(sum, params.softcap); }
        }
        let new_highest = max(highest, workgroup_max(score, thread));
        var share = 0.0;
        if (key < visible) { share = exp(score - new_highest); }
        weight[thread] = share;
        let shrink = exp(highest - new_highest);
        // The sum's barriers also make every thread's weight visible.
        total = total * shrink + workgroup_sum4(vec4<f32>(share, 0.0, 0.0, 0.0), thread).x;
        highest = new_highest;
        if (thread < words) {
            mixed *= shrink;
            let count = min(TILE, visible - tile);
            for (var i = 0u; i < count; i++) {
                mixed += weight[i] * cached_value(cache_at, tile + i, thread, words, params.context);
            }
        }
    }
    if (thread < words) { out[at + thread] = mixed / total; }
}
