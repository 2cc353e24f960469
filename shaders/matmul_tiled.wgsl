// A matrix times a batch of vectors, as `matmul`, for batches and matrices that fill large tiles: a workgroup of SIDE by
// SIDE threads computes a tile of 8 SIDE tokens by 8 SIDE rows, a thread 8 by 8 of it, all in F32.
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

override SIDE: u32 = 8u;        // at most 16
override THREADS: u32 = SIDE * SIDE;
override LINES: u32 = 8u * SIDE;
override PLACES: u32 = 32u * SIDE;  // (LINES, WORDS)
const WORDS = 4u;               // vec4s of a line that are read at a time
var<workgroup> x_tile: array<vec4<f32>, PLACES>;
var<workgroup> weights_tile: array<vec4<f32>, PLACES>;

// Where a word of a line lies: so that threads that read the same word of neighbouring lines hit different banks.
fn place(line: u32, word: u32) -> u32 {
    return line * WORDS + (word ^ ((line >> 1u) & 3u));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = group.x * LINES;
    let first_token = group.y * LINES;
    if (first_token >= step.tokens) { return; }
    let thread_row = thread % SIDE;
    let thread_token = thread / SIDE;
    // Token thread_token + SIDE i; rows thread_row + SIDE j, four of them a vec4.
    var sums: array<vec4<f32>, 16>;
    for (var first_column = 0u; first_column < params.columns; first_column += WORDS * 4u) {
        for (var i = thread; i < PLACES; i += THREADS) {
            let line = i >> 2u;
            let column = first_column + (i & 3u) * 4u;
            let token = first_token + line;
            let row = first_row + line;
            var x4 = vec4<f32>();
            if (token < step.tokens && column < params.columns) { x4 = x[(token * params.columns + column) >> 2u]; }
            x_tile[place(line, i & 3u)] = x4;
            var w4 = vec4<f32>();
            if (row < params.rows && column < params.columns) { w4 = weights4((params.base_row + row) * params.columns + column); }
            weights_tile[place(line, i & 3u)] = w4;
        }
        workgroupBarrier();
        for (var word = 0u; word < WORDS; word++) {
            var rows: array<vec4<f32>, 8>;
            for (var j = 0u; j < 8u; j++) { rows[j] = weights_tile[place(thread_row + SIDE * j, word)]; }
            for (var i = 0u; i < 8u; i++) {
                let value = x_tile[place(thread_token + SIDE * i, word)];
                for (var quad = 0u; quad < 2u; quad++) {
                    let w0 = rows[quad * 4u];
                    let w1 = rows[quad * 4u + 1u];
                    let w2 = rows[quad * 4u + 2u];
                    let w3 = rows[quad * 4u + 3u];
                    var sum = sums[i * 2u + quad];
                    sum += value.x * vec4<f32>(w0.x, w1.x, w2.x, w3.x);
                    sum += value.y * vec4<f32>(w0.y, w1.y, w2.y, w3.y);
                    sum += value.z * vec4<f32>(w0.z, w1.z, w2.z, w3.z);
                    sum += value.w * vec4<f32>(w0.w, w1.w, w2.w, w3.w);
                    sums[i * 2u + quad] = sum;
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 8u; i++) {
        let token = first_token + thread_token + SIDE * i;
        for (var j = 0u; j < 8u; j++) {
            let row = first_row + thread_row + SIDE * j;
            if (token < step.tokens && row < params.rows) {
                let at = token * params.out_columns + params.first_row + row;
                var total = sums[i * 2u + (j >> 2u)][j & 3u];
                if (params.accumulate == 1u) { total += out[at]; }
                out[at] = total;
            }
        }
    }
}
