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
    query_at: u32,      // where the projections lie, multiples of 4
    key_at: u32,
    value_at: u32,
    split_keys: u32,    // so many keys are worth a piece of their own
    splits_max: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> projected: array<vec4<f32>>;       // (heads + 2 kv_heads, head_dim)
@group(0) @binding(3) var<storage, read> query_norm: array<f32>;            // (head_dim), or (heads, head_dim)
@group(0) @binding(4) var<storage, read> key_norm: array<f32>;              // (head_dim), or (kv_heads, head_dim)
@group(0) @binding(5) var<storage, read> table: array<vec2<f32>>;           // (context, rotary / 2): cosine, sine
@group(0) @binding(6) var<storage, read_write> keys: array<vec4<u32>>;      // (kv_heads, context, head_dim)
@group(0) @binding(7) var<storage, read_write> values: array<vec4<u32>>;    // (kv_heads, context, head_dim)
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
// First the heads as they come, queries and then the key; then of each key in a tile the scores and shares of the first
// four heads, behind them those of the others; at the end what each thread has mixed.
var<workgroup> pool: array<vec4<f32>, 512>;
var<workgroup> query: array<vec4<f32>, 320>;        // (HEADS + 1, head_dim): queries times the scale, then the new key
var<workgroup> factors: array<vec4<f32>, 3>;        // of the norm, a head each, the key last

//#import shared/kv_read.wgsl
//#import shared/kv_own.wgsl
//#import shared/heads.wgsl
//#import shared/scores.wgsl

// Adds up what the threads have mixed for two heads from `head` on, and writes it: two at a time is what shared memory holds.
fn write_pair(
    head: u32, even: vec4<f32>, odd: vec4<f32>, tops: vec4<f32>, totals: vec4<f32>,
    first_head: u32, lanes: u32, split: u32, splits: u32, thread: u32,
) {
    if (head >= HEADS) { return; }
    let words = params.head_dim >> 2u;
    workgroupBarrier();
    pool[thread] = even;
    pool[256u + thread] = odd;
    workgroupBarrier();
    for (var i = thread; i < 2u * words; i += THREADS) {
        let nth = i / words;
        let word = i % words;
        let h = head + nth;
        if (h >= HEADS) { continue; }
        var sum = vec4<f32>();
        for (var lane = 0u; lane < lanes; lane++) { sum += pool[nth * 256u + lane * words + word]; }
        if (KV == KV_INT4) {
            // Nobody needs the queries any more.
            query[i] = sum;
        } else {
            write_word(h, word, sum, tops[h & 3u], totals[h & 3u], first_head, split, splits);
        }
    }
    if (KV == KV_INT4) {
        let count = min(2u, HEADS - head) * words;
        workgroupBarrier();
        turn_words(0u, count, thread);
        for (var i = thread; i < count; i += THREADS) {
            let h = head + i / words;
            write_word(h, i % words, query[i], tops[h & 3u], totals[h & 3u], first_head, split, splits);
        }
    }
}

fn write_word(
    h: u32, word: u32, sum: vec4<f32>, top: f32, total: f32, first_head: u32, split: u32, splits: u32,
) {
    let words = params.head_dim >> 2u;
    if (splits == 1u) {
        out[(first_head + h) * words + word] = sum / total;
    } else {
        let at = (split * params.heads + first_head + h) * (words + 1u);
        partials[at + word] = sum;
        if (word == 0u) { partials[at + words] = vec4<f32>(top, total, 0.0, 0.0); }
    }
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
//#else
    let place = thread;
//#end
    let words = params.head_dim >> 2u;
    let first_head = group.x * HEADS;
    let shared_by = params.heads / params.kv_heads;
    let own_head = first_head / shared_by;
    let cache_at = own_head * kv_head(words, params.context);
    let position = step.position;
    // One workgroup of each key head writes.
    let writes = group.y == 0u && first_head % shared_by == 0u;
    take_value(own_head, cache_at, writes, thread);
    prepare(first_head, own_head, thread);
    take_key(cache_at, writes, thread);
    let first_key = first_visible(position, params.window);
    let splits = splits_of(position + 1u - first_key, params.split_keys, params.splits_max);
    let each = (position + splits - first_key) / splits;
    let begin = first_key + group.y * each;
    let end = min(begin + each, position + 1u);
    // Of the values: a thread has one word of the head, of every `lanes`-th key.
    let lanes = THREADS / words;
    let lane = thread / words;
    let word = thread % words;
    var highest = Heads(vec4<f32>(LOWEST), vec4<f32>(LOWEST));
    var total = Heads(vec4<f32>(), vec4<f32>());
//#repeat h 8
    var mixed_{h} = vec4<f32>();
//#end
    for (var tile = begin; tile < end; tile += TILE) {
        let count = min(TILE, end - tile);
        // The first values are on their way while scores are computed; the last of them perhaps for nothing.
//#repeat n 8
        var value_{n} = value_of(cache_at, tile + min(lane + {n}u * lanes, count - 1u), word);
//#end
        workgroupBarrier();
        var best = Heads(vec4<f32>(LOWEST), vec4<f32>(LOWEST));
        // All threads of a subgroup must come here together, so the last ones may do a key again.
        for (var first = 0u; first < count; first += 2u * THREADS / SHARING) {
            let nth = vec2<u32>(first + place / SHARING) + vec2<u32>(0u, THREADS / SHARING);
            let i = min(nth, vec2<u32>(count - 1u));
            let is_mine = nth < vec2<u32>(select(0u, count, place % SHARING == 0u));
            let pair = products(tile + i.x, tile + i.y, cache_at, place % SHARING);
            let a = scores_of(pair.a.first);
            let b = scores_of(pair.b.first);
            best.first = max(best.first, max(a, b));
            if (is_mine.x) { pool[i.x] = a; }
            if (is_mine.y) { pool[i.y] = b; }
            if (HEADS > 4u) {
                let c = scores_of(pair.a.last);
                let d = scores_of(pair.b.last);
                best.last = max(best.last, max(c, d));
                if (is_mine.x) { pool[TILE + i.x] = c; }
                if (is_mine.y) { pool[TILE + i.y] = d; }
            }
        }
        let first_top = max(highest.first, workgroup_max4(best.first, thread));
        let first_shrink = exp(highest.first - first_top);
        highest.first = first_top;
        total.first *= first_shrink;
//#repeat h 4
        mixed_{h} *= first_shrink[{h}];
//#end
        for (var i = thread; i < count; i += THREADS) { pool[i] = exp(pool[i] - first_top); }
        if (HEADS > 4u) {
            let last_top = max(highest.last, workgroup_max4(best.last, thread));
            let last_shrink = exp(highest.last - last_top);
            highest.last = last_top;
            total.last *= last_shrink;
            mixed_4 *= last_shrink.x;
            mixed_5 *= last_shrink.y;
            mixed_6 *= last_shrink.z;
            mixed_7 *= last_shrink.w;
            for (var i = thread; i < count; i += THREADS) { pool[TILE + i] = exp(pool[TILE + i] - last_top); }
        }
        workgroupBarrier();
        for (var first = lane; first < count; first += lanes * 8u) {
//#repeat n 8
            if (first > lane) { value_{n} = value_of(cache_at, tile + min(first + {n}u * lanes, count - 1u), word); }
//#end
//#repeat n 8
            if (first + {n}u * lanes < count && lane < lanes) {
                let shares = pool[first + {n}u * lanes];
                total.first += shares;
                mixed_0 += shares.x * value_{n};
                if (HEADS > 1u) { mixed_1 += shares.y * value_{n}; }
                if (HEADS > 2u) { mixed_2 += shares.z * value_{n}; }
                if (HEADS > 3u) { mixed_3 += shares.w * value_{n}; }
                if (HEADS > 4u) {
                    let others = pool[TILE + first + {n}u * lanes];
                    total.last += others;
                    mixed_4 += others.x * value_{n};
                    mixed_5 += others.y * value_{n};
                    mixed_6 += others.z * value_{n};
                    mixed_7 += others.w * value_{n};
                }
            }
//#end
        }
    }
    // All threads of a lane have the same total.
    let counts = lane < lanes && word == 0u;
    let first_total = workgroup_sum4(select(vec4<f32>(), total.first, counts), thread);
    var last_total = vec4<f32>();
    if (HEADS > 4u) { last_total = workgroup_sum4(select(vec4<f32>(), total.last, counts), thread); }
    write_pair(0u, mixed_0, mixed_1, highest.first, first_total, first_head, lanes, group.y, splits, thread);
    write_pair(2u, mixed_2, mixed_3, highest.first, first_total, first_head, lanes, group.y, splits, thread);
    write_pair(4u, mixed_4, mixed_5, highest.last, last_total, first_head, lanes, group.y, splits, thread);
    write_pair(6u, mixed_6, mixed_7, highest.last, last_total, first_head, lanes, group.y, splits, thread);
}
