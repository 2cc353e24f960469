// Attention of a batch, as `attention_tiled`, in products of F16 with sums in F32, as matrices that a subgroup computes
// together. A workgroup has 64 tokens of one head and takes 64 keys at a time. Such matrices can't be scaled row by row, so
// keys are gone through twice: for each token's highest score, and for the mix.
enable f16;
enable wgpu_cooperative_matrix;
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

override HEAD_WORDS: u32 = 16u;                 // of 4 numbers; a multiple of 4, at most 32
override HEAD_TILES: u32 = HEAD_WORDS / 4u;
override LINE: u32 = HEAD_WORDS + 2u;           // words from a line to the next, so that lines begin in different banks
override PLACES: u32 = 64u * LINE;
const TOKENS = 64u;
const KEYS = 64u;
const SCORES_LINE = 17u;
const SHARES_LINE = 18u;
const LOWEST = -3.0e38;
var<workgroup> tile: array<vec4<f16>, PLACES>;          // (64, head_dim): queries, then keys or values
var<workgroup> scores: array<vec4<f32>, 1088>;          // (TOKENS, KEYS)
var<workgroup> shares: array<vec4<f16>, 1152>;          // (TOKENS, KEYS)
var<workgroup> partial: array<f32, 128>;                // two a token

//#import shared/attention_coop.wgsl

const FROM_KEYS = 0u;
const FROM_VALUES = 1u;

// Puts keys or values into the tile; behind the last one it is that one again.
fn fill(what: u32, first: u32, end: u32, cache_at: u32, thread: u32) {
    for (var i = thread; i < KEYS * HEAD_WORDS; i += 128u) {
        let line = i / HEAD_WORDS;
        let word = i % HEAD_WORDS;
        let key = min(first + line, end - 1u);
        var four: vec4<f32>;
        if (what == FROM_KEYS) {
            four = cached_key(cache_at, key, word, HEAD_WORDS, params.context);
        } else {
            four = cached_value(cache_at, key, word, HEAD_WORDS, params.context);
        }
        tile[line * LINE + word] = vec4<f16>(four);
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let head = group.x;
    let first_token = group.y * TOKENS;
    if (first_token >= step.tokens) { return; }
    let tokens = min(TOKENS, step.tokens - first_token);
    let cache_at = (head / (params.heads / params.kv_heads)) * kv_head(HEAD_WORDS, params.context);
    let position = step.position + first_token;
    let begin = first_visible(position, params.window);
    let end = select(step.position + step.tokens, position + tokens, params.causal == 1u);
    // Of scores a thread has every other word of one token.
    let lane = thread & 31u;
    let row = subgroup * 16u + (lane >> 1u);
    let row_first = first_visible(position + row, params.window);
    let row_end = select(end, position + row + 1u, params.causal == 1u);
    for (var i = thread; i < TOKENS * HEAD_WORDS; i += 128u) {
        let line = i / HEAD_WORDS;
        let word = i % HEAD_WORDS;
        let token = min(first_token + line, step.tokens - 1u);
        tile[line * LINE + word] = vec4<f16>(queries[(token * params.heads + head) * HEAD_WORDS + word] * params.scale);
    }
    workgroupBarrier();
    take_queries(subgroup * 16u * LINE);
    let own_scores = subgroup * 16u * SCORES_LINE;
    var highest = LOWEST;
    var total = 0.0;
    for (var pass_of = 0u; pass_of < 2u; pass_of++) {
        for (var first = begin; first < end; first += KEYS) {
            workgroupBarrier();
            fill(FROM_KEYS, first, end, cache_at, thread);
            workgroupBarrier();
            score(own_scores);
            workgroupBarrier();
            if (pass_of == 1u) { fill(FROM_VALUES, first, end, cache_at, thread); }
            for (var i = 0u; i < 8u; i++) {
                let word = (lane & 1u) + 2u * i;
                let key = vec4<u32>(first + word * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
                let is_seen = (key >= vec4<u32>(row_first)) & (key < vec4<u32>(row_end));
                var four = scores[row * SCORES_LINE + word];
                if (params.softcap > 0.0) {
                    for (var k = 0u; k < 4u; k++) { four[k] = softcap(four[k], params.softcap); }
                }
                if (pass_of == 0u) {
                    let seen = select(vec4<f32>(LOWEST), four, is_seen);
                    highest = max(highest, max(max(seen.x, seen.y), max(seen.z, seen.w)));
                } else {
                    let share = vec4<f16>(select(vec4<f32>(), exp(four - vec4<f32>(highest)), is_seen));
                    shares[row * SHARES_LINE + word] = share;
                    total += dot(vec4<f32>(share), vec4<f32>(1.0));
                }
            }
            if (pass_of == 1u) {
                workgroupBarrier();
                mix(subgroup * 16u * SHARES_LINE);
            }
        }
        // Both halves of a token's scores.
        partial[thread] = select(highest, total, pass_of == 1u);
        workgroupBarrier();
        let other = partial[thread ^ 1u];
        if (pass_of == 0u) { highest = max(highest, other); } else { total += other; }
        workgroupBarrier();
    }
    for (var n = 0u; n < HEAD_TILES; n++) {
        show(n, own_scores);
        workgroupBarrier();
        if (row < tokens) {
            let at = ((first_token + row) * params.heads + head) * HEAD_WORDS + n * 4u + (lane & 1u) * 2u;
            let from_at = row * SCORES_LINE + (lane & 1u) * 2u;
            out[at] = scores[from_at] / total;
            out[at + 1u] = scores[from_at + 1u] / total;
        }
        workgroupBarrier();
    }
}
