// What `fused_matvec` does, for matrices that stand in strips of 16 rows: up to three of them, one below the other, times
// one vector, with the norm before and the bias, gate, residual or cap after, handed on from dispatch to dispatch.
// A workgroup computes a strip, so that each part of x is read once for 16 rows; with a gate half of its threads compute
// the strip of the second matrix. A thread reads four columns at a time, while those before are multiplied; how it sums
// up the bytes of a product is the reading. Where that is int8, the numbers of x that a thread meets are rounded to 8
// bits, so that their greatest is 127.
//#axes format strips
//#import shared/step.wgsl
//#import shared/fused.wgsl

@group(0) @binding(9) var<storage, read> wide_weights: array<Wide>;    // the same as `weights`

//#import formats/{format}.wgsl
//#import formats/shared/strips.wgsl
//#import shared/softcap.wgsl
//#import shared/activation.wgsl

override THREADS: u32 = 64u;    // a power of two from 32 to 256
//#import shared/strip_sums.wgsl

fn value_at(column: u32) -> vec4<f32> {
    var value = x[column >> 2u];
    if (NORM == OWN) { value *= norm[column >> 2u]; }
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
    if (NORM == OWN) {
        for (var column = begin; column < params.columns; column += stride) {
            let value = x[column >> 2u];
            squares += dot(value, value);
        }
    }
    if (NORM == HANDED) {
        for (var i = begin >> 2u; i < (params.columns >> 4u); i += side_threads) {
            squares += dot(norm[(params.columns >> 2u) + i], vec4<f32>(1.0));
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
    finish(first, count, squares, thread);
}
