// Sums and maxima over a workgroup of THREADS threads, which whoever imports this declares: a power of two, at most 256
// with subgroups and 128 without. Every thread gets the result; all must call it together.
//#if subgroups
// The entry point fills these from the built-in values of the same meaning.
var<private> subgroup_index: u32;
var<private> subgroup_count: u32;
// A subgroup has at least 4 threads, so a workgroup of 256 holds at most 64 of them.
var<workgroup> partial: array<vec4<f32>, 64>;

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

fn workgroup_max4(value: vec4<f32>, thread: u32) -> vec4<f32> {
    let highest = subgroupMax(value);
    workgroupBarrier();
    partial[subgroup_index] = highest;
    workgroupBarrier();
    var total = partial[0];
    for (var i = 1u; i < subgroup_count; i++) { total = max(total, partial[i]); }
    return total;
}
//#else
var<workgroup> partial: array<vec4<f32>, 128>;

fn workgroup_sum4(value: vec4<f32>, thread: u32) -> vec4<f32> {
    workgroupBarrier();
    partial[thread] = value;
    workgroupBarrier();
    for (var half = THREADS >> 1u; half > 0u; half >>= 1u) {
        if (thread < half) { partial[thread] += partial[thread + half]; }
        workgroupBarrier();
    }
    return partial[0];
}

fn workgroup_max4(value: vec4<f32>, thread: u32) -> vec4<f32> {
    workgroupBarrier();
    partial[thread] = value;
    workgroupBarrier();
    for (var half = THREADS >> 1u; half > 0u; half >>= 1u) {
        if (thread < half) { partial[thread] = max(partial[thread], partial[thread + half]); }
        workgroupBarrier();
    }
    return partial[0];
}
//#end
