// Sums and maxima over a workgroup of 64 threads. Every thread gets the result; all must call it together.
//#if subgroups
// The entry point fills these from the built-in values of the same meaning.
var<private> subgroup_index: u32;
var<private> subgroup_count: u32;
// A subgroup has at least 4 threads, so a workgroup of 64 holds at most 16 of them.
var<workgroup> partial: array<vec4<f32>, 16>;

fn workgroup_sum4(value: vec4<f32>, thread: u32) -> vec4<f32> {
    let sum = subgroupAdd(value);
    workgroupBarrier();
    // Every thread of a subgroup holds the same sum: they all write the same value.
    partial[subgroup_index] = sum;
    workgroupBarrier();
    var total = partial[0];
    for (var i = 1u; i < subgroup_count; i++) { total += partial[i]; }
    return total;
}
//#else
var<workgroup> partial: array<vec4<f32>, 64>;

fn workgroup_sum4(value: vec4<f32>, thread: u32) -> vec4<f32> {
    workgroupBarrier();
    partial[thread] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (thread < half) { partial[thread] += partial[thread + half]; }
        workgroupBarrier();
    }
    return partial[0];
}

fn workgroup_max(value: f32, thread: u32) -> f32 {
    workgroupBarrier();
    partial[thread].x = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (thread < half) { partial[thread].x = max(partial[thread].x, partial[thread + half].x); }
        workgroupBarrier();
    }
    return partial[0].x;
}
//#end
