// A matrix times one vector: out[r] = sum_c weights[r, c] * x[c]; added to what is there if `accumulate` is 1.
// A workgroup computes four rows, so that each part of x is read once for all four.
//#axes format subgroups
//#import shared/step.wgsl

struct Params {
    columns: u32,       // a multiple of 4
    rows: u32,          // in this part of the matrix
    first_row: u32,     // of the whole matrix, in this part
    scales_word: u32,   // where the part's scales begin, in words
    accumulate: u32,
    base_row: u32,      // rows of other matrices in front of these
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;      // (columns)
@group(0) @binding(3) var<storage, read> weights: array<u32>;      // (rows, columns)
@group(0) @binding(4) var<storage, read_write> out: array<f32>;    // (all rows)

//#import formats/{format}.wgsl
//#import shared/reduce.wgsl

@compute @workgroup_size(64)
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
    let first = flat_group(group, groups) * 4u;
    if (first >= params.rows) { return; }
    // The last workgroup computes its last row again where the matrix has no fourth one.
    let rows = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rows - 1u));
    let at = (rows + vec4<u32>(params.base_row)) * params.columns;
    var sums = vec4<f32>();
    for (var column = thread * 4u; column < params.columns; column += 256u) {
        let value = x[column >> 2u];
        sums += vec4<f32>(
            dot(weights4(at.x + column), value),
            dot(weights4(at.y + column), value),
            dot(weights4(at.z + column), value),
            dot(weights4(at.w + column), value),
        );
    }
    let totals = workgroup_sum4(sums, thread);
    let row = first + thread;
    if (thread < 4u && row < params.rows) {
        let place = params.first_row + row;
        var total = totals[thread];
        if (params.accumulate == 1u) { total += out[place]; }
        out[place] = total;
    }
}
