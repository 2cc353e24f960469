// What `fused_matvec` does, for matrices that stand in strips of 16 rows: up to three of them, one below the other, times
// one vector, with the norm before and the bias, gate, residual or cap after.
// A workgroup computes a strip, so that each part of x is read once for 16 rows; with a gate half of its threads compute
// the strip of the second matrix. A thread reads four columns at a time, while those before are multiplied; how it sums
// up the bytes of a product is the reading. Where that is int8, the numbers of x that a thread meets are rounded to 8
// bits, so that their greatest is 127.
//#axes format strips
//#import shared/step.wgsl

struct Params {
    columns: u32,       // a multiple of 16
    rows: u32,          // in this part, of all matrices
    first_row: u32,     // of the whole matrix, in this part
    scales_word: u32,   // where the part's scales begin, in words
    base_row: u32,      // rows of other matrices in front of these
    second_row: u32,    // where the second matrix begins, or behind all rows
    third_row: u32,     // where the third one begins, or behind all rows
    out_first: u32,     // where the first row goes
    activation: u32,    // of GATED: 0: silu, 1: gelu by tanh
    epsilon: f32,
    factor: f32,
    softcap: f32,       // of SCALE; 0: none
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;          // (columns)
@group(0) @binding(3) var<storage, read> norm: array<vec4<f32>>;       // (columns)
@group(0) @binding(4) var<storage, read> weights: array<u32>;          // (rows, columns)
@group(0) @binding(5) var<storage, read> first_bias: array<f32>;       // (rows of the first matrix)
@group(0) @binding(6) var<storage, read> second_bias: array<f32>;
@group(0) @binding(7) var<storage, read> third_bias: array<f32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;        // (all rows)
@group(0) @binding(9) var<storage, read> wide_weights: array<Wide>;    // the same as `weights`

//#import formats/{format}.wgsl
//#import formats/shared/strips.wgsl
//#import shared/softcap.wgsl
//#import shared/activation.wgsl

override THREADS: u32 = 64u;    // a power of two from 32 to 256
override NORM: bool = false;
override BIASES: u32 = 0u;      // a bit for each matrix
override EPILOGUE: u32 = 0u;
const ADD = 1u;                 // out += factor * row
const GATED = 2u;               // out = f(row of the first matrix) * row of the second
const SCALE = 3u;               // out = softcap(factor * row)
const ROWS = 16u;

var<workgroup> partial: array<f32, 4096>;    // (ROWS, THREADS)

fn bias_of(row: u32) -> f32 {
    if (row >= params.third_row) {
        if ((BIASES & 4u) != 0u) { return third_bias[row - params.third_row]; }
        return 0.0;
    }
    if (row >= params.second_row) {
        if ((BIASES & 2u) != 0u) { return second_bias[row - params.second_row]; }
        return 0.0;
    }
    if ((BIASES & 1u) != 0u) { return first_bias[params.first_row + row]; }
    return 0.0;
}

fn value_at(column: u32) -> vec4<f32> {
    var value = x[column >> 2u];
    if (NORM) { value *= norm[column >> 2u]; }
    return value;
}

// Four columns of the strip that begins at a word.
fn fetch(strip_word: u32, column: u32) -> Columns {
    let at = strip_word + (column >> 2u) * (TILE_WORDS >> 2u);
    let is_last = (column & 12u) == 12u;
    return columns_load(at, select(at + (TILE_WORDS >> 2u), at - 3u * (TILE_WORDS >> 2u), is_last));
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let gated = EPILOGUE == GATED;
    let side_threads = select(THREADS, THREADS >> 1u, gated);
    let count = select(params.rows, params.second_row, gated);
    let first = flat_group(group, groups) * ROWS;
    if (first >= count) { return; }
    // The second half of the threads reads the second matrix.
    let is_second = thread >= side_threads;
    let strip_row = params.base_row + first + select(0u, params.second_row, is_second);
    let strip_word = trellis_tile(strip_row, 0u);
    let begin = select(thread, thread - side_threads, is_second) * 4u;
    let stride = side_threads * 4u;
    var squares = 0.0;
    if (NORM) {
        for (var column = begin; column < params.columns; column += stride) {
            let value = x[column >> 2u];
            squares += dot(value, value);
        }
    }
    let last = params.columns - 4u;
//#if int8
    var most4 = vec4<f32>();
    for (var column = begin; column < params.columns; column += stride) { most4 = max(most4, abs(value_at(column))); }
    let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
    // The quotient of the least numbers would pass what F32 holds; what it is does not matter then.
    let inverse = select(0.0, 127.0 / most, most > 1e-30);
    var all = vec4<i32>();
    var columns = fetch(strip_word, min(begin, last));
    for (var column = begin; column < params.columns; column += stride) {
        let next = fetch(strip_word, min(column + stride, last));
        let value = vec4<i32>(round(value_at(column) * inverse));
        all += value;
        add_columns(columns, vec4<u32>(splat(value.x), splat(value.y), splat(value.z), splat(value.w)));
        columns = next;
    }
    let scale = most / 127.0;
    let offset = i32(trellis_offset()) * (all.x + all.y + all.z + all.w);
//#repeat r 16
    partial[{r}u * THREADS + thread] = scale * f32(sum_{r} - offset);
//#end
//#else
    var columns = fetch(strip_word, min(begin, last));
    for (var column = begin; column < params.columns; column += stride) {
        let next = fetch(strip_word, min(column + stride, last));
        add_columns(columns, value_at(column));
        columns = next;
    }
//#repeat r 16
    partial[{r}u * THREADS + thread] = sum_{r};
//#end
//#end
    workgroupBarrier();
    // Each row's sums, those of either half of the threads apart, in as many places as there are threads for a row.
    let places = THREADS / ROWS;
    let begins = (thread / places) * THREADS + thread % places;
    var halves = vec2<f32>();
    for (var i = 0u; i < 8u; i++) {
        halves += vec2<f32>(partial[begins + i * places], partial[begins + (i + 8u) * places]);
    }
    workgroupBarrier();
    partial[thread] = halves.x;
    partial[THREADS + thread] = halves.y;
    if (NORM) { partial[2u * THREADS + thread] = select(squares, 0.0, is_second); }
    workgroupBarrier();
    halves = vec2<f32>();
    if (thread < ROWS) {
        for (var i = 0u; i < places; i++) {
            halves += vec2<f32>(partial[thread * places + i], partial[THREADS + thread * places + i]);
        }
        if (NORM) {
            squares = 0.0;
            for (var i = 0u; i < places; i++) { squares += partial[2u * THREADS + i * ROWS + thread]; }
            partial[3u * THREADS + thread] = squares;
        }
    }
    workgroupBarrier();
    let row = first + thread;
    if (thread >= ROWS || row >= count) { return; }
    var factor = 1.0;
    if (NORM) {
        squares = 0.0;
        for (var i = 0u; i < ROWS; i++) { squares += partial[3u * THREADS + i]; }
        factor = inverseSqrt(squares / f32(params.columns) + params.epsilon);
    }
    let at = params.out_first + params.first_row + row;
    let stored_row = params.base_row + row;
    if (gated) {
        var gate = factor * trellis_scale(stored_row) * halves.x;
        var up = factor * trellis_scale(stored_row + params.second_row) * halves.y;
        if ((BIASES & 1u) != 0u) { gate += first_bias[row]; }
        if ((BIASES & 2u) != 0u) { up += second_bias[row]; }
        out[at] = activate(gate, params.activation) * up;
        return;
    }
    var total = factor * trellis_scale(stored_row) * (halves.x + halves.y);
    if (BIASES != 0u) { total += bias_of(row); }
    if (EPILOGUE == ADD) { total = out[at] + params.factor * total; }
    if (EPILOGUE == SCALE) {
        total *= params.factor;
        if (params.softcap > 0.0) { total = softcap(total, params.softcap); }
    }
    out[at] = total;
}
