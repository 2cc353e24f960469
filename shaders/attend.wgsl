// Attention of one token, from its projected queries, keys and values to the mixed values: the norm of its heads, the
// turn by its position, the new key and value into the cache, and the mix, as `rms_norm`, `rope`, `kv_write` and
// `attention` do it one after the other.
// A workgroup has HEADS query heads that share one key head, so that keys and values are read once for all of them, and
// one of several pieces of the context (Dao et al. 2023, "Flash-Decoding for long-context inference"). If there are
// several, `attend_combine` puts them together. The new key and value come from the projection, not from the cache,
// which one workgroup of each key head fills.
//#axes subgroups
//#import shared/step.wgsl

struct Params {
    heads: u32,
    kv_heads: u32,
    head_dim: u32,      // a multiple of 4, at most 256
    context: u32,       // tokens the cache holds
    scale: f32,         // of a score before the softmax
    softcap: f32,       // bends scores below it; 0: none
    window: u32,        // the token sees as many positions, itself the last; 0: all before it
    rotary: u32,        // how many of a head's numbers turn; 0: none
    interleaved: u32,
    epsilon: f32,       // of the norm
    query_at: u32,      // where the projections lie
    key_at: u32,
    value_at: u32,
    split_keys: u32,    // so many keys are worth a piece of their own
    splits_max: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> projected: array<f32>;             // (heads + 2 kv_heads, head_dim)
@group(0) @binding(3) var<storage, read> query_norm: array<f32>;            // (head_dim), or (heads, head_dim)
@group(0) @binding(4) var<storage, read> key_norm: array<f32>;              // (head_dim), or (kv_heads, head_dim)
@group(0) @binding(5) var<storage, read> table: array<vec2<f32>>;           // (context, rotary / 2): cosine, sine
@group(0) @binding(6) var<storage, read_write> keys: array<vec4<f32>>;      // (kv_heads, context, head_dim)
@group(0) @binding(7) var<storage, read_write> values: array<vec4<f32>>;    // (kv_heads, context, head_dim)
@group(0) @binding(8) var<storage, read_write> out: array<vec4<f32>>;       // (heads, head_dim)
@group(0) @binding(9) var<storage, read_write> partials: array<vec4<f32>>;  // (splits, heads, head_dim / 4 + 1)

//#import shared/reduce_threads.wgsl
//#import shared/softcap.wgsl
//#import shared/splits.wgsl

override THREADS: u32 = 64u; // a power of two, at most 256 with subgroups and 128 without: what shared memory holds
override HEADS: u32 = 1u;   // at most 8, and HEADS * head_dim at most 1024
override NORM: u32 = 0u;
const BY_HEAD = 1u;         // each head has a mean of its own
const BY_WIDTH = 2u;        // one mean over all heads

const TILE = 256u;          // keys
const LOWEST = -3.0e38;
// First the heads as they come, queries and then the key; then the scores and shares of a tile: (HEADS, TILE); at the end
// what each thread has mixed, five numbers each.
var<workgroup> pool: array<f32, 2048>;
var<workgroup> query: array<vec4<f32>, 256>;        // (HEADS, head_dim), times the scale
var<workgroup> new_key: array<vec4<f32>, 64>;       // (head_dim)
var<workgroup> factors: array<vec4<f32>, 3>;        // of the norm, a head each, the key last

//#import shared/heads.wgsl

fn new_value(kv_head: u32, word: u32) -> vec4<f32> {
    let at = params.value_at + kv_head * params.head_dim + word * 4u;
    return vec4<f32>(projected[at], projected[at + 1u], projected[at + 2u], projected[at + 3u]);
}

@compute @workgroup_size(THREADS)
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
    let words = params.head_dim >> 2u;
    let first_head = group.x * HEADS;
    let shared_by = params.heads / params.kv_heads;
    let kv_head = first_head / shared_by;
    let cache_at = kv_head * params.context * words;
    let position = step.position;
    prepare(first_head, kv_head, thread);
    if (group.y == 0u && first_head % shared_by == 0u && thread < words) {
        keys[cache_at + position * words + thread] = new_key[thread];
        values[cache_at + position * words + thread] = new_value(kv_head, thread);
    }
    let first_key = first_visible(position, params.window);
    let splits = splits_of(position + 1u - first_key, params.split_keys, params.splits_max);
    let each = (position + splits - first_key) / splits;
    let begin = first_key + group.y * each;
    let end = min(begin + each, position + 1u);
    // Of the values: a thread has one word of the head, of every `lanes`-th key.
    let lanes = THREADS / words;
    let lane = thread / words;
    let word = thread % words;
    var highest: array<f32, 8>;
    var total: array<f32, 8>;
    var mixed: array<vec4<f32>, 8>;
    for (var h = 0u; h < HEADS; h++) { highest[h] = LOWEST; }
    for (var tile = begin; tile < end; tile += TILE) {
        let count = min(TILE, end - tile);
        var best: array<f32, 8>;
        for (var h = 0u; h < HEADS; h++) { best[h] = LOWEST; }
        workgroupBarrier();
        for (var i = thread; i < count; i += THREADS) {
            let key = tile + i;
            var scores: array<f32, 8>;
            for (var w = 0u; w < words; w++) {
                var four = new_key[w];
                if (key < position) { four = keys[cache_at + key * words + w]; }
                for (var h = 0u; h < HEADS; h++) { scores[h] += dot(query[h * words + w], four); }
            }
            for (var h = 0u; h < HEADS; h++) {
                var score = scores[h];
                if (params.softcap > 0.0) { score = softcap(score, params.softcap); }
                best[h] = max(best[h], score);
                pool[h * TILE + i] = score;
            }
        }
        for (var four = 0u; four < HEADS; four += 4u) {
            let tops = workgroup_max4(vec4<f32>(best[four], best[four + 1u], best[four + 2u], best[four + 3u]), thread);
            for (var i = 0u; i < 4u && four + i < HEADS; i++) {
                let h = four + i;
                let top = max(highest[h], tops[i]);
                let shrink = exp(highest[h] - top);
                highest[h] = top;
                total[h] *= shrink;
                mixed[h] *= shrink;
                // Each thread turns its own scores into shares.
                for (var at = thread; at < count; at += THREADS) { pool[h * TILE + at] = exp(pool[h * TILE + at] - top); }
            }
        }
        workgroupBarrier();
        if (lane < lanes) {
            for (var i = lane; i < count; i += lanes) {
                let key = tile + i;
                var four = vec4<f32>();
                if (key < position) { four = values[cache_at + key * words + word]; } else { four = new_value(kv_head, word); }
                for (var h = 0u; h < HEADS; h++) {
                    let share = pool[h * TILE + i];
                    total[h] += share;
                    mixed[h] += share * four;
                }
            }
        }
    }
    for (var h = 0u; h < HEADS; h++) {
        workgroupBarrier();
        for (var i = 0u; i < 4u; i++) { pool[thread * 5u + i] = mixed[h][i]; }
        pool[thread * 5u + 4u] = total[h];
        workgroupBarrier();
        if (thread < words) {
            var sum = vec4<f32>();
            var all = 0.0;
            for (var other = thread; other < lanes * words; other += words) {
                let start = other * 5u;
                sum += vec4<f32>(pool[start], pool[start + 1u], pool[start + 2u], pool[start + 3u]);
                all += pool[start + 4u];
            }
            let head = first_head + h;
            if (splits == 1u) {
                out[head * words + thread] = sum / all;
            } else {
                let at = (group.y * params.heads + head) * (words + 1u);
                partials[at + thread] = sum;
                if (thread == 0u) { partials[at + words] = vec4<f32>(highest[h], all, 0.0, 0.0); }
            }
        }
    }
}
