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

// Four rows of a token, SIDE apart.
fn put(token: u32, first_row: u32, sums: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let row = first_row + SIDE * j;
        if (token < step.tokens && row < params.rows) {
            let at = token * params.out_columns + params.first_row + row;
            var total = sums[j];
            if (params.accumulate == 1u) { total += out[at]; }
            out[at] = total;
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = group.x * LINES;
    let first_token = group.y * LINES;
    if (first_token >= step.tokens) { return; }
    let thread_row = thread % SIDE;
    let thread_token = thread / SIDE;
    // Token thread_token + SIDE i; rows thread_row + SIDE (4 q + 0, 1, 2 and 3). Each is a variable of its own: not every
    // compiler keeps an array in registers.
//#repeat i 8
//#repeat q 2
    var sum_{i}_{q} = vec4<f32>();
//#end
//#end
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
//#repeat j 8
            let row_{j} = weights_tile[place(thread_row + SIDE * {j}u, word)];
//#end
            // The same columns of four rows.
            let x_0 = vec4<f32>(row_0.x, row_1.x, row_2.x, row_3.x);
            let y_0 = vec4<f32>(row_0.y, row_1.y, row_2.y, row_3.y);
            let z_0 = vec4<f32>(row_0.z, row_1.z, row_2.z, row_3.z);
            let w_0 = vec4<f32>(row_0.w, row_1.w, row_2.w, row_3.w);
            let x_1 = vec4<f32>(row_4.x, row_5.x, row_6.x, row_7.x);
            let y_1 = vec4<f32>(row_4.y, row_5.y, row_6.y, row_7.y);
            let z_1 = vec4<f32>(row_4.z, row_5.z, row_6.z, row_7.z);
            let w_1 = vec4<f32>(row_4.w, row_5.w, row_6.w, row_7.w);
//#repeat i 8
            let value_{i} = x_tile[place(thread_token + SIDE * {i}u, word)];
//#repeat q 2
            sum_{i}_{q} += value_{i}.x * x_{q};
            sum_{i}_{q} += value_{i}.y * y_{q};
            sum_{i}_{q} += value_{i}.z * z_{q};
            sum_{i}_{q} += value_{i}.w * w_{q};
//#end
//#end
        }
        workgroupBarrier();
    }
//#repeat i 8
//#repeat q 2
    put(first_token + thread_token + SIDE * {i}u, first_row + thread_row + SIDE * {q}u * 4u, sum_{i}_{q});
//#end
//#end
}
