// Sums of several vec4s at once over a workgroup of 64 threads: with two barriers, or as many as one ladder needs.
const SUMS_MAX = 5u;
//#if subgroups
// The entry point fills these from the built-in values of the same meaning.
var<private> subgroup_index: u32;
var<private> subgroup_count: u32;
// A subgroup has at least 4 threads, so a workgroup of 64 holds at most 16 of them.
var<workgroup> row_sums: array<vec4<f32>, 80>;     // (subgroups, SUMS_MAX)

// Puts the first `count` of each thread's sums where `row_total` finds them. All threads must call it together.
fn reduce_rows(sums: ptr<function, array<vec4<f32>, 5>>, count: u32, thread: u32) {
    for (var i = 0u; i < count; i++) {
        // Every thread of a subgroup holds the same sum: they all write the same value.
        row_sums[subgroup_index * SUMS_MAX + i] = subgroupAdd((*sums)[i]);
    }
    workgroupBarrier();
}

// The total of the `row`-th number, counted over all sums.
fn row_total(row: u32) -> f32 {
    var total = row_sums[row >> 2u][row & 3u];
    for (var i = 1u; i < subgroup_count; i++) { total += row_sums[i * SUMS_MAX + (row >> 2u)][row & 3u]; }
    return total;
}
//#else
var<workgroup> row_sums: array<vec4<f32>, 320>;    // (threads, SUMS_MAX)

fn reduce_rows(sums: ptr<function, array<vec4<f32>, 5>>, count: u32, thread: u32) {
    for (var i = 0u; i < count; i++) { row_sums[thread * SUMS_MAX + i] = (*sums)[i]; }
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (thread < half) {
            for (var i = 0u; i < count; i++) {
                row_sums[thread * SUMS_MAX + i] += row_sums[(thread + half) * SUMS_MAX + i];
            }
        }
        workgroupBarrier();
    }
}

fn row_total(row: u32) -> f32 {
    return row_sums[row >> 2u][row & 3u];
}
//#end
