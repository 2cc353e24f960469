// Up to three matrices, one below the other, times one vector, and what comes before and after such a product:
// - before, by NORM: x becomes x / sqrt(mean(x^2) + epsilon) * norm. The sum of squares is taken in the same pass, and its
//   factor multiplies the sums of products at the end. If the dispatch that wrote x has handed it on, it is already times
//   norm, and behind it lie the sums of squares of each four of its numbers;
// - after: a matrix's bias if its bit in BIASES is set, then what EPILOGUE says;
// - if HANDS_ON, what is written is also handed on in that way, times the norm of the product that comes next.
// A workgroup computes four rows, so that each part of x is read once for all of them; with a gate these are two rows of
// either matrix. A thread reads four weights of a row at a time, or, where rows are long and divide so, as many as a
// format's wide reading takes, of all four rows before it uses any, so that many loads are on their way at once. On
// request each 32 numbers of x are rounded to 8 bits, so that their greatest is 127, and multiplied as integers.
//#axes format subgroups readings
//#import shared/step.wgsl
//#import shared/fused.wgsl

//#if narrow
@group(0) @binding(9) var<storage, read> wide_weights: array<u32>;         // the same as `weights`
//#else
@group(0) @binding(9) var<storage, read> wide_weights: array<Wide>;        // the same as `weights`
//#end

//#import formats/{format}.wgsl
//#import shared/reduce_rows.wgsl
//#import shared/softcap.wgsl
//#import shared/activation.wgsl

override THREADS: u32 = 64u;    // a power of two, at most 128

// Adds four rows to what is there, and hands the sums on. One thread does so: it is their squares' sum that is wanted.
fn hand_on(first: u32) {
    let at = params.out_first + params.first_row + first;
    var totals = all_row_totals();
    if (BIASES != 0u) { totals += vec4<f32>(bias_of(first), bias_of(first + 1u), bias_of(first + 2u), bias_of(first + 3u)); }
    let sums = vec4<f32>(out[at], out[at + 1u], out[at + 2u], out[at + 3u]) + params.factor * totals;
    for (var i = 0u; i < 4u; i++) {
        out[at + i] = sums[i];
        third_bias[first + i] = sums[i] * second_bias[first + i];
    }
    third_bias[params.rows + (first >> 2u)] = dot(sums, sums);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
//#if subgroups
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
//#end
) {
//#if subgroups
    subgroup_index = subgroup;
    subgroup_count = subgroups;
//#end
    let gated = EPILOGUE == GATED;
    // Rows that are written: with a gate two are computed for each.
    let count = select(params.rows, params.second_row, gated);
    let each = select(4u, 2u, gated);
    let first = flat_group(group, groups) * each;
    if (first >= count) { return; }
    // The last workgroup computes its last row again where there are no more.
    var rows = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u));
    if (gated) { rows = vec4<u32>(rows.xy, rows.xy + vec2<u32>(params.second_row)); }
    let starts = (rows + vec4<u32>(params.base_row)) * params.columns;
    var sums = vec4<f32>();
    var squares = 0.0;
    if (NORM == HANDED) {
        for (var i = thread; i < (params.columns >> 4u); i += THREADS) {
            squares += dot(norm[(params.columns >> 2u) + i], vec4<f32>(1.0));
        }
    }
//#if int8
    for (var column = thread * 32u; column < params.columns; column += THREADS * 32u) {
        let at = starts + vec4<u32>(column);
        let a = packed_load(at.x);
        let b = packed_load(at.y);
        let c = packed_load(at.z);
        let d = packed_load(at.w);
        var values: array<vec4<f32>, 8>;
        var most4 = vec4<f32>();
        for (var i = 0u; i < 8u; i++) {
            var value = x[(column >> 2u) + i];
            if (NORM == OWN) {
                squares += dot(value, value);
                value *= norm[(column >> 2u) + i];
            }
            values[i] = value;
            most4 = max(most4, abs(value));
        }
        let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
        var packed: array<u32, 8>;
        // The quotient of the least numbers would pass what F32 holds; what it is does not matter then.
        pack_chunk(&values, select(0.0, 127.0 / most, most > 1e-30), &packed);
        let sum = packed_sum(&packed);
        sums += most / 127.0 * vec4<f32>(
            packed_dot(a, &packed, sum),
            packed_dot(b, &packed, sum),
            packed_dot(c, &packed, sum),
            packed_dot(d, &packed, sum),
        );
    }
//#else
//#if wide
    for (var column = thread * CHUNK; column < params.columns; column += THREADS * CHUNK) {
        let at = starts + vec4<u32>(column);
        let a = chunk_load(at.x);
        let b = chunk_load(at.y);
        let c = chunk_load(at.z);
        let d = chunk_load(at.w);
        var values: array<vec4<f32>, 8>;
        var all = vec4<f32>();
        for (var i = 0u; i < CHUNK / 4u; i++) {
            var value = x[(column >> 2u) + i];
            if (NORM == OWN) {
                squares += dot(value, value);
                value *= norm[(column >> 2u) + i];
            }
            values[i] = value * CHUNK_FACTORS;
            all += value;
        }
        let sum = dot(all, vec4<f32>(1.0));
        sums += vec4<f32>(
            chunk_dot(a, &values, sum),
            chunk_dot(b, &values, sum),
            chunk_dot(c, &values, sum),
            chunk_dot(d, &values, sum),
        );
    }
//#else
    for (var column = thread * 4u; column < params.columns; column += THREADS * 4u) {
        var value = x[column >> 2u];
        if (NORM == OWN) {
            squares += dot(value, value);
            value *= norm[column >> 2u];
        }
        let at = starts + vec4<u32>(column);
        sums += vec4<f32>(
            dot(weights4(at.x), value),
            dot(weights4(at.y), value),
            dot(weights4(at.z), value),
            dot(weights4(at.w), value),
        );
    }
//#end
//#end
    reduce_rows(sums, squares, thread);
    if (HANDS_ON) {
        if (thread == 0u) { hand_on(first); }
        return;
    }
    let row = first + thread;
    if (thread >= each || row >= count) { return; }
    var factor = 1.0;
    if (NORM != 0u) { factor = inverseSqrt(squares_total() / f32(params.columns) + params.epsilon); }
    let at = params.out_first + params.first_row + row;
    if (gated) {
        var gate = factor * row_total(thread);
        var up = factor * row_total(thread + 2u);
        if ((BIASES & 1u) != 0u) { gate += first_bias[row]; }
        if ((BIASES & 2u) != 0u) { up += second_bias[row]; }
        out[at] = activate(gate, params.activation) * up;
        return;
    }
    var total = factor * row_total(thread);
    if (BIASES != 0u) { total += bias_of(row); }
    if (EPILOGUE == ADD) { total = out[at] + params.factor * total; }
    if (EPILOGUE == SCALE) {
        total *= params.factor;
        if (params.softcap > 0.0) { total = softcap(total, params.softcap); }
    }
    out[at] = total;
}
