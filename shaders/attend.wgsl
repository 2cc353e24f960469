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

// A word of a key's value; the token's own is not in the cache yet.
fn value_of(cache_at: u32, kv_head: u32, key: u32, word: u32) -> vec4<f32> {
    let words = params.head_dim >> 2u;
    let cached = values[cache_at + min(key, max(step.position, 1u) - 1u) * words + word];
    if (key >= step.position) { return new_value(kv_head, word); }
    return cached;
}

// A thread's word of every `lanes`-th value of a tile from `first` on: eight loads at once, the last of them perhaps for
// nothing.
fn load_values(
    into: ptr<function, array<vec4<f32>, 8>>,
    cache_at: u32, kv_head: u32, tile: u32, count: u32, first: u32, lanes: u32, word: u32,
) {
    for (var nth = 0u; nth < 8u; nth++) {
        (*into)[nth] = value_of(cache_at, kv_head, tile + min(first + nth * lanes, count - 1u), word);
    }
}

// Products of a key with the queries, over every `stride`-th of its words from `first` on. The token's own key is not in the
// cache yet; what is read in its place is not used.
fn scores_of(key: u32, cache_at: u32, first: u32, stride: u32) -> array<f32, 8> {
    let words = params.head_dim >> 2u;
    let is_new = key >= step.position;
    let start = cache_at + min(key, max(step.position, 1u) - 1u) * words;
    var scores: array<f32, 8>;
    // Eight loads at once, the last of them perhaps for nothing: one after the other would wait for memory each time.
    for (var w = first; w < words; w += 8u * stride) {
        var at: array<u32, 8>;
        var four: array<vec4<f32>, 8>;
        for (var i = 0u; i < 8u; i++) {
            at[i] = min(w + i * stride, words - 1u);
            four[i] = keys[start + at[i]];
        }
        for (var i = 0u; i < 8u; i++) {
            if (is_new) { four[i] = new_key[at[i]]; }
            if (w + i * stride >= words) { four[i] = vec4<f32>(); }
            for (var h = 0u; h < HEADS; h++) { scores[h] += dot(query[h * words + at[i]], four[i]); }
        }
    }
    return scores;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
//#if subgroups
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_thread: u32,
//#end
) {
//#if subgroups
    subgroup_index = subgroup;
    subgroup_count = subgroups;
    // WebGPU does not say that threads lie in subgroups in their order.
    let place = subgroup * subgroup_size + subgroup_thread;
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
        // The first values are on their way while scores are computed.
        var ahead: array<vec4<f32>, 8>;
        load_values(&ahead, cache_at, kv_head, tile, count, lane, lanes, word);
        workgroupBarrier();
//#if subgroups
        // Four threads share a key, so that what they read lies together, and every fourth word is one's own. All threads
        // of a subgroup must come here together, so the last ones may do a key again.
        for (var first = 0u; first < count; first += THREADS / 4u) {
            let nth = first + (place >> 2u);
            let i = min(nth, count - 1u);
            var scores = scores_of(tile + i, cache_at, place & 3u, 4u);
            for (var h = 0u; h < HEADS; h++) {
                var score = scores[h];
                score += subgroupShuffleXor(score, 1u);
                score += subgroupShuffleXor(score, 2u);
                if (params.softcap > 0.0) { score = softcap(score, params.softcap); }
                best[h] = max(best[h], score);
                if ((place & 3u) == 0u && nth < count) { pool[h * TILE + i] = score; }
            }
        }
//#else
        for (var i = thread; i < count; i += THREADS) {
            var scores = scores_of(tile + i, cache_at, 0u, 1u);
            for (var h = 0u; h < HEADS; h++) {
                var score = scores[h];
                if (params.softcap > 0.0) { score = softcap(score, params.softcap); }
                best[h] = max(best[h], score);
                pool[h * TILE + i] = score;
            }
        }
//#end
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
            for (var i = lane; i < count; i += lanes * 8u) {
                if (i != lane) { load_values(&ahead, cache_at, kv_head, tile, count, i, lanes, word); }
                for (var nth = 0u; nth < 8u; nth++) {
                    let at = i + nth * lanes;
                    if (at >= count) { break; }
                    for (var h = 0u; h < HEADS; h++) {
                        let share = pool[h * TILE + at];
                        total[h] += share;
                        mixed[h] += share * ahead[nth];
                    }
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
