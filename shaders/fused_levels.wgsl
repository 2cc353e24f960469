// What `fused_strips` does, for strips of levels. A workgroup computes a strip; with a gate half of its threads compute the
// strip of the second matrix. A thread reads a tile at a time, 16 columns of 16 rows, while the one before is multiplied.
// On request each 16 numbers of x are rounded to 8 bits, so that their greatest is 127, and multiplied as integers.
//#axes sums
//#import shared/step.wgsl
//#import shared/fused.wgsl

@group(0) @binding(9) var<storage, read> wide_weights: array<vec4<u32>>;    // the same as `weights`

//#import formats/shared/levels.wgsl
//#import shared/softcap.wgsl
//#import shared/activation.wgsl

override THREADS: u32 = 64u;    // a power of two from 32 to 256
//#import shared/strip_sums.wgsl

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
    let begin = select(thread, thread - side_threads, is_second);
    let tiles = params.columns >> 4u;
    var squares = 0.0;
    if (NORM == HANDED) {
        for (var i = begin; i < tiles; i += side_threads) {
            squares += dot(norm[(params.columns >> 2u) + i], vec4<f32>(1.0));
        }
    }
    var tile = tile_load(strip_row, min(begin, tiles - 1u));
    for (var i = begin; i < tiles; i += side_threads) {
        let next = tile_load(strip_row, min(i + side_threads, tiles - 1u));
        let at = 4u * i;
        var values = mat4x4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
        if (NORM == OWN) {
            squares += dot(values[0], values[0]) + dot(values[1], values[1])
                + dot(values[2], values[2]) + dot(values[3], values[3]);
            values = mat4x4<f32>(
                values[0] * norm[at], values[1] * norm[at + 1u], values[2] * norm[at + 2u], values[3] * norm[at + 3u],
            );
        }
        add_tile(tile, values);
        tile = next;
    }
//#repeat q 4
//#repeat r 4
    partial[(4u * {q}u + {r}u) * THREADS + thread] = 2.0 * sum_{q}{r} - 3.0 * sum_all;
//#end
//#end
    finish(first, count, squares, thread);
}
