// Attention of a batch, as `attention`, for batches that fill tiles: a workgroup has 32 tokens of one head and takes 64
// keys at a time, with a running maximum and sum for each token (Milakov and Gimelshein 2018; Dao 2023,
// "FlashAttention-2"): each key is read once for 32 tokens, and no score leaves the workgroup.
//#import shared/step.wgsl

struct Params {
    heads: u32,
    kv_heads: u32,
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

//#import shared/kv_read.wgsl
//#import shared/softcap.wgsl
//#import shared/splits.wgsl

override HEAD_WORDS: u32 = 16u; // of 4 numbers; at most 64
const TOKENS = 32u;
const KEYS = 64u;
const WORDS = 4u;               // of a head that are compared at a time
const LOWEST = -3.0e38;
var<workgroup> shares: array<vec4<f32>, 512>;       // (TOKENS, KEYS): scores, then shares
var<workgroup> query_words: array<vec4<f32>, 128>;  // (TOKENS, WORDS)
var<workgroup> key_words: array<vec4<f32>, 256>;    // (KEYS, WORDS), each line's words in an order of its own
var<workgroup> shrinks: array<f32, 32>;             // of what a token has mixed so far
var<workgroup> partial: array<f32, 128>;            // four a token

// Threads that read the same word of neighbouring keys hit different banks.
fn key_place(key: u32, word: u32) -> u32 {
    return key * WORDS + (word ^ ((key >> 1u) & 3u));
}

// A token's scores with the keys lane + 16 j.
fn keep_scores(token: u32, lane: u32, four: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let key = lane + 16u * j;
        var score = four[j];
        if (params.softcap > 0.0) { score = softcap(score, params.softcap); }
        shares[token * 16u + (key >> 2u)][key & 3u] = score;
    }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let first_token = group.y * TOKENS;
    if (first_token >= step.tokens) { return; }
    let tokens = min(TOKENS, step.tokens - first_token);
    let cache_at = (head / (params.heads / params.kv_heads)) * kv_head(HEAD_WORDS, params.context);
    let position = step.position + first_token;
    let begin = first_visible(position, params.window);
    let end = select(step.position + step.tokens, position + tokens, params.causal == 1u);
    // Of the scores a thread has tokens thread_token + 8 i and keys lane + 16 j; of the mix the same tokens and of a head
    // the words lane + 16 n; of the softmax a fourth of the token thread / 4.
    let thread_token = thread >> 4u;
    let lane = thread % 16u;
    let row = thread >> 2u;
    let fourth = thread & 3u;
    let row_position = position + row;
    let row_first = first_visible(row_position, params.window);
    let row_end = select(end, row_position + 1u, params.causal == 1u);
    var highest = LOWEST;
    var total = 0.0;                        // of this thread's fourth
    // 4 tokens by 4 words, each a variable of its own: not every compiler keeps an array in registers.
//#repeat i 4
//#repeat n 4
    var mixed_{i}_{n} = vec4<f32>();
//#end
//#end
    for (var tile = begin; tile < end; tile += KEYS) {
//#repeat i 4
        var score_{i} = vec4<f32>();
//#end
        for (var first_word = 0u; first_word < HEAD_WORDS; first_word += WORDS) {
            workgroupBarrier();
            let word = first_word + (thread & 3u);
            let token = min(first_token + (thread >> 2u), step.tokens - 1u);
            var four = vec4<f32>();
            if (word < HEAD_WORDS) { four = queries[(token * params.heads + head) * HEAD_WORDS + word] * params.scale; }
            query_words[thread] = four;
            for (var i = thread; i < KEYS * WORDS; i += 128u) {
                let key = min(tile + (i >> 2u), end - 1u);
                four = vec4<f32>();
                if (word < HEAD_WORDS) { four = cached_key(cache_at, key, word, HEAD_WORDS, params.context); }
                key_words[key_place(i >> 2u, i & 3u)] = four;
            }
            workgroupBarrier();
            for (var w = 0u; w < WORDS; w++) {
                let k0 = key_words[key_place(lane, w)];
                let k1 = key_words[key_place(lane + 16u, w)];
                let k2 = key_words[key_place(lane + 32u, w)];
                let k3 = key_words[key_place(lane + 48u, w)];
                let x = vec4<f32>(k0.x, k1.x, k2.x, k3.x);
                let y = vec4<f32>(k0.y, k1.y, k2.y, k3.y);
                let z = vec4<f32>(k0.z, k1.z, k2.z, k3.z);
                let last = vec4<f32>(k0.w, k1.w, k2.w, k3.w);
//#repeat i 4
                let q_{i} = query_words[(thread_token + 8u * {i}u) * WORDS + w];
                score_{i} += q_{i}.x * x;
                score_{i} += q_{i}.y * y;
                score_{i} += q_{i}.z * z;
                score_{i} += q_{i}.w * last;
//#end
            }
        }
//#repeat i 4
        keep_scores(thread_token + 8u * {i}u, lane, score_{i});
//#end
        workgroupBarrier();
        // What a token does not see stays LOWEST, whatever the score was.
        var best = LOWEST;
//#repeat i 4
        let key_{i} = vec4<u32>(tile + (fourth + 4u * {i}u) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let is_seen_{i} = (key_{i} >= vec4<u32>(row_first)) & (key_{i} < vec4<u32>(row_end));
        let own_{i} = select(vec4<f32>(LOWEST), shares[row * 16u + fourth + 4u * {i}u], is_seen_{i});
        best = max(best, max(max(own_{i}.x, own_{i}.y), max(own_{i}.z, own_{i}.w)));
//#end
        partial[thread] = best;
        workgroupBarrier();
        let top = max(max(max(partial[row * 4u], partial[row * 4u + 1u]), max(partial[row * 4u + 2u], partial[row * 4u + 3u])), highest);
        let shrink = exp(highest - top);
        highest = top;
        total *= shrink;
        if (fourth == 0u) { shrinks[row] = shrink; }
//#repeat i 4
        let share_{i} = select(exp(own_{i} - vec4<f32>(top)), vec4<f32>(), own_{i} <= vec4<f32>(LOWEST));
        shares[row * 16u + fourth + 4u * {i}u] = share_{i};
        total += dot(share_{i}, vec4<f32>(1.0));
//#end
        workgroupBarrier();
//#repeat i 4
        let factor_{i} = shrinks[thread_token + 8u * {i}u];
//#repeat n 4
        mixed_{i}_{n} *= factor_{i};
//#end
//#end
        let count = min(KEYS, end - tile);
        for (var quad = 0u; quad * 4u < count; quad++) {
            let s0 = shares[thread_token * 16u + quad];
            let s1 = shares[(thread_token + 8u) * 16u + quad];
            let s2 = shares[(thread_token + 16u) * 16u + quad];
            let s3 = shares[(thread_token + 24u) * 16u + quad];
            for (var k = 0u; k < 4u; k++) {
                // Beyond the last key all shares are 0.
                let key = min(tile + quad * 4u + k, end - 1u);
//#repeat n 4
                if (HEAD_WORDS > {n}u * 16u && lane + {n}u * 16u < HEAD_WORDS) {
                    let value = cached_value(cache_at, key, lane + {n}u * 16u, HEAD_WORDS, params.context);
                    mixed_0_{n} += s0[k] * value;
                    mixed_1_{n} += s1[k] * value;
                    mixed_2_{n} += s2[k] * value;
                    mixed_3_{n} += s3[k] * value;
                }
//#end
            }
        }
    }
    workgroupBarrier();
    partial[thread] = total;
    workgroupBarrier();
//#repeat i 4
    let line_{i} = thread_token + 8u * {i}u;
    if (line_{i} < tokens) {
        let first = line_{i} * 4u;
        let sum = partial[first] + partial[first + 1u] + partial[first + 2u] + partial[first + 3u];
        let at = ((first_token + line_{i}) * params.heads + head) * HEAD_WORDS + lane;
//#repeat n 4
        if (HEAD_WORDS > {n}u * 16u && lane + {n}u * 16u < HEAD_WORDS) { out[at + {n}u * 16u] = mixed_{i}_{n} / sum; }
//#end
    }
//#end
}
