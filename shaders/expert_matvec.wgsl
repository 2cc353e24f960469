// For each token and each of its experts, the expert's matrix times a vector:
// out[t, s, r] = sum_c weights[expert[t, s] * rows + r, c] * x[t, s or 0, c].
// The experts' matrices lie one below the other. A workgroup computes four rows; where the matrix lies in several parts,
// each dispatch writes the rows that its part holds.
//#axes format subgroups
//#import shared/step.wgsl

struct Params {
    columns: u32,       // a multiple of 4
    rows: u32,          // of one expert, a multiple of 4
    experts: u32,
    slots: u32,         // experts that a token goes to
    x_slots: u32,       // rows of x for each token: one for all its experts, or one for each
    part_first_row: u32, // of all experts' rows, in this part
    part_rows: u32,
    scales_word: u32,   // where the part's scales begin, in words
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;          // (tokens, x_slots, columns)
@group(0) @binding(3) var<storage, read> weights: array<u32>;          // (experts, rows, columns)
@group(0) @binding(4) var<storage, read> routing: array<vec2<f32>>;    // (tokens, slots): expert, share
@group(0) @binding(5) var<storage, read_write> out: array<f32>;        // (tokens, slots, rows)

//#import formats/{format}.wgsl
//#import shared/reduce.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
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
    let pair = group.z * params.slots + group.y;
    if (group.z >= step.tokens) { return; }
    let expert = u32(routing[pair].x);
    // A score that is no number leaves a slot without an expert.
    if (expert >= params.experts) { return; }
    let first = expert * params.rows + group.x * 4u;
    // Rows before the part become very large numbers, and are as absent as those behind it.
    let rows = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u) - vec4<u32>(params.part_first_row);
    if (all(rows >= vec4<u32>(params.part_rows))) { return; }
    let at = min(rows, vec4<u32>(params.part_rows - 1u)) * params.columns;
    let x_at = (group.z * params.x_slots + min(group.y, params.x_slots - 1u)) * params.columns;
    var sums = vec4<f32>();
    for (var column = thread * 4u; column < params.columns; column += 256u) {
        let value = x[(x_at + column) >> 2u];
        sums += vec4<f32>(
            dot(weights4(at.x + column), value),
            dot(weights4(at.y + column), value),
            dot(weights4(at.z + column), value),
            dot(weights4(at.w + column), value),
        );
    }
    let totals = workgroup_sum4(sums, thread);
    if (thread < 4u && rows[thread] < params.part_rows) {
        out[pair * params.rows + group.x * 4u + thread] = totals[thread];
    }
}
