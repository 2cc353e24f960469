// A matrix times a batch of vectors: out[t, r] = sum_c weights[r, c] * x[t, c]; added to what is there if
// `accumulate` is 1. A workgroup computes a tile of 32 tokens by 32 rows, a thread 4 by 4 of it.
//#axes format
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
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;      // (tokens, columns)
@group(0) @binding(3) var<storage, read> weights: array<u32>;      // (rows, columns)
@group(0) @binding(4) var<storage, read_write> out: array<f32>;    // (tokens, out_columns)

//#import formats/{format}.wgsl

const TILE = 32u;      // tokens, rows and columns of a tile
const WORDS = 8u;      // vec4s in a tile's row
// A column more than the tile has, so that threads which read down a column hit different memory banks.
var<workgroup> x_tile: array<vec4<f32>, 288>;        // (TILE, WORDS + 1)
var<workgroup> weights_tile: array<vec4<f32>, 288>;  // (TILE, WORDS + 1)

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = group.x * TILE;
    let first_token = group.y * TILE;
    if (first_token >= step.tokens) { return; }
    let thread_row = thread & 7u;
    let thread_token = thread >> 3u;
    // sums[i][j]: token thread_token + 8 i, row thread_row + 8 j.
    var sums: array<vec4<f32>, 4>;
    for (var first_column = 0u; first_column < params.columns; first_column += TILE) {
        for (var i = thread; i < TILE * WORDS; i += 64u) {
            let line = i >> 3u;
            let column = first_column + (i & 7u) * 4u;
            let token = first_token + line;
            let row = first_row + line;
            var x4 = vec4<f32>();
            if (token < step.tokens && column < params.columns) { x4 = x[(token * params.columns + column) >> 2u]; }
            x_tile[line * (WORDS + 1u) + (i & 7u)] = x4;
            var w4 = vec4<f32>();
            if (row < params.rows && column < params.columns) { w4 = weights4((params.base_row + row) * params.columns + column); }
            weights_tile[line * (WORDS + 1u) + (i & 7u)] = w4;
        }
        workgroupBarrier();
        for (var word = 0u; word < WORDS; word++) {
            let w0 = weights_tile[thread_row * (WORDS + 1u) + word];
            let w1 = weights_tile[(thread_row + 8u) * (WORDS + 1u) + word];
            let w2 = weights_tile[(thread_row + 16u) * (WORDS + 1u) + word];
            let w3 = weights_tile[(thread_row + 24u) * (WORDS + 1u) + word];
            for (var i = 0u; i < 4u; i++) {
                let value = x_tile[(thread_token + 8u * i) * (WORDS + 1u) + word];
                sums[i] += vec4<f32>(dot(value, w0), dot(value, w1), dot(value, w2), dot(value, w3));
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let token = first_token + thread_token + 8u * i;
        for (var j = 0u; j < 4u; j++) {
            let row = first_row + thread_row + 8u * j;
            if (token < step.tokens && row < params.rows) {
                let at = token * params.out_columns + params.first_row + row;
                var total = sums[i][j];
                if (params.accumulate == 1u) { total += out[at]; }
                out[at] = total;
            }
        }
    }
}
