// A matrix times a batch of vectors, as `matmul`, in products of F16 with sums in F32, as matrices that a subgroup computes
// together. A workgroup has TOKEN_GROUPS times ROW_GROUPS subgroups of 32 threads, of 32 tokens and 64 rows each. Weights
// are turned into F16 on their way into workgroup memory; x comes as F16 from `to_halves`, each token with a factor.
enable f16;
enable wgpu_cooperative_matrix;
//#axes format tile
//#import shared/step.wgsl

struct Params {
    columns: u32,       // a multiple of 4
    rows: u32,          // in this part of the matrix
    first_row: u32,     // of the whole matrix, in this part
    scales_word: u32,   // where the part's scales begin, in words
    accumulate: u32,
    out_columns: u32,   // rows of the whole matrix
    base_row: u32,      // rows of other matrices in front of these
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f16>>;      // (tokens, columns in 64s), readable in whole tiles
@group(0) @binding(3) var<storage, read> factors: array<f32>;      // (tokens)
@group(0) @binding(4) var<storage, read> weights: array<u32>;      // (rows, columns)
@group(0) @binding(5) var<storage, read_write> out: array<f32>;    // (tokens, out_columns)
@group(0) @binding(6) var<storage, read> wide_weights: array<vec4<u32>>;   // the same as `weights`

//#import formats/{format}.wgsl

override TOKEN_GROUPS: u32 = 4u;
override ROW_GROUPS: u32 = 2u;
override THREADS: u32 = TOKEN_GROUPS * ROW_GROUPS * 32u;
override TOKENS: u32 = TOKEN_GROUPS * 32u;
override ROWS: u32 = ROW_GROUPS * 64u;
override X_PLACES: u32 = TOKENS * 10u;
override WEIGHTS_PLACES: u32 = ROWS * 10u;
override SHOWN_PLACES: u32 = THREADS * 8u;
const WORDS = 8u;       // of four columns, that are multiplied at a time
const LINE = 10u;       // words from a line to the next, so that lines begin in different banks
var<workgroup> x_tile: array<vec4<f16>, X_PLACES>;
var<workgroup> weights_tile: array<vec4<f16>, WEIGHTS_PLACES>;
var<workgroup> shown: array<f32, SHOWN_PLACES>;

//#import shared/multiply_coop.wgsl

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let first_row = group.x * ROWS;
    let first_token = group.y * TOKENS;
    if (first_token >= step.tokens) { return; }
    let own_row = (subgroup / TOKEN_GROUPS) * 64u;
    let own_token = (subgroup % TOKEN_GROUPS) * 32u;
    let x_words = ((params.columns + 63u) >> 6u) << 4u;
    // A thread reads one word of every so-manyeth line; rows beyond the last are the last one again.
    let word = thread & 7u;
    let line = thread >> 3u;
    var sums: Sums;
    for (var first_word = 0u; first_word * 4u < params.columns; first_word += WORDS) {
        for (var i = line; i < TOKENS; i += THREADS >> 3u) {
            x_tile[i * LINE + word] = x[(first_token + i) * x_words + first_word + word];
        }
//#if tile
        let sixteen = thread & 1u;
        for (var i = thread >> 1u; i < ROWS; i += THREADS >> 1u) {
            let row = params.base_row + min(first_row + i, params.rows - 1u);
            let four = weights16(row * params.columns + first_word * 4u + sixteen * 16u);
            let at = i * LINE + sixteen * 4u;
            weights_tile[at] = vec4<f16>(four[0]);
            weights_tile[at + 1u] = vec4<f16>(four[1]);
            weights_tile[at + 2u] = vec4<f16>(four[2]);
            weights_tile[at + 3u] = vec4<f16>(four[3]);
        }
//#else
        let column = (first_word + word) * 4u;
        for (var i = line; i < ROWS; i += THREADS >> 3u) {
            var four = vec4<f32>();
            let row = params.base_row + min(first_row + i, params.rows - 1u);
            if (column < params.columns) { four = weights4(row * params.columns + column); }
            weights_tile[i * LINE + word] = vec4<f16>(four);
        }
//#end
        workgroupBarrier();
        multiply(&sums, own_token * LINE, own_row * LINE);
        workgroupBarrier();
    }
    let lane = thread & 31u;
    let own_shown = subgroup * 256u;
    for (var i = 0u; i < TOKEN_TILES; i++) {
        for (var j = 0u; j < ROW_TILES; j++) {
            show(&sums, i * ROW_TILES + j, own_shown);
            workgroupBarrier();
            let row = first_row + own_row + j * 16u + (lane & 15u);
            for (var nth = lane >> 4u; nth < 16u; nth += 2u) {
                let token = first_token + own_token + i * 16u + nth;
                if (token < step.tokens && row < params.rows) {
                    let at = token * params.out_columns + params.first_row + row;
                    var total = shown[own_shown + nth * 16u + (lane & 15u)] * factors[token];
                    if (params.accumulate == 1u) { total += out[at]; }
                    out[at] = total;
                }
            }
            workgroupBarrier();
        }
    }
}
