// Five sums at once over a workgroup of at most 128 threads: with one barrier, or as many as a ladder needs.
//#if subgroups
// The entry point fills these from the built-in values of the same meaning.
var<private> subgroup_index: u32;
var<private> subgroup_count: u32;
// A subgroup has at least 4 threads.
var<workgroup> row_sums: array<vec4<f32>, 32>;
var<workgroup> square_sums: array<f32, 32>;

// Puts each row's sum where `row_total` finds it. All threads must call it together.
fn reduce_rows(rows: vec4<f32>, squares: f32, thread: u32) {
    // Every thread of a subgroup holds the same sum: they all write the same value.
    row_sums[subgroup_index] = subgroupAdd(rows);
    if (NORM != 0u) { square_sums[subgroup_index] = subgroupAdd(squares); }
    workgroupBarrier();
}

// The total of one of the rows.
fn row_total(row: u32) -> f32 {
    var total = 0.0;
    for (var i = 0u; i < subgroup_count; i++) { total += row_sums[i][row]; }
    return total;
}

fn all_row_totals() -> vec4<f32> {
    var totals = vec4<f32>();
    for (var i = 0u; i < subgroup_count; i++) { totals += row_sums[i]; }
    return totals;
}

fn squares_total() -> f32 {
    var total = 0.0;
    for (var i = 0u; i < subgroup_count; i++) { total += square_sums[i]; }
    return total;
}
//#else
var<workgroup> row_sums: array<vec4<f32>, 128>;
var<workgroup> square_sums: array<f32, 128>;

fn reduce_rows(rows: vec4<f32>, squares: f32, thread: u32) {
    row_sums[thread] = rows;
    square_sums[thread] = squares;
    workgroupBarrier();
    for (var half = THREADS >> 1u; half > 0u; half >>= 1u) {
        if (thread < half) {
            row_sums[thread] += row_sums[thread + half];
            square_sums[thread] += square_sums[thread + half];
        }
        workgroupBarrier();
    }
}

fn row_total(row: u32) -> f32 {
    return row_sums[0][row];
}

fn all_row_totals() -> vec4<f32> {
    return row_sums[0];
}

fn squares_total() -> f32 {
    return square_sums[0];
}
//#end
