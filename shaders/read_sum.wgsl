// Adds up all words of a buffer, as fast as memory gives them: out[group] = what the threads of the group have read.
// It belongs to no model: its time is that of reading memory and nothing else.
//#import shared/step.wgsl

struct Params {
    quads: u32,     // fours of words in x
    threads: u32,   // of the whole dispatch
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<u32>>;         // (quads)
@group(0) @binding(3) var<storage, read_write> out: array<u32>;       // (groups)

var<workgroup> partial: array<u32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let flat = flat_group(group, groups);
    var sums = vec4<u32>();
    for (var at = flat * 64u + thread; at < params.quads; at += params.threads) { sums += x[at]; }
    partial[thread] = sums.x + sums.y + sums.z + sums.w;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (thread < half) { partial[thread] += partial[thread + half]; }
        workgroupBarrier();
    }
    if (thread == 0u) { out[flat] = partial[0]; }
}
