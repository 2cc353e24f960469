// The numbers of a row that are not below a threshold, with their places, in any order. The threshold is the `wanted`-th
// largest of 256 peaks of different numbers, so that at least as many pass it, and few more.
//#import shared/step.wgsl

struct Params {
    columns: u32,
    wanted: u32,        // at most 256
    entries_max: u32,   // of the list; the count goes on beyond
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<u32>;                     // (columns), F32 as bits
@group(0) @binding(3) var<storage, read> peaks: array<vec2<u32>>;           // (1024): order, place
// How many, the threshold's order, and then for each its place and its bits.
@group(0) @binding(4) var<storage, read_write> list: array<atomic<u32>>;    // (2 + 2 entries_max)

//#import shared/order.wgsl

const PEAKS = 256u;
var<workgroup> tops: array<u32, 256>;
var<workgroup> threshold: u32;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var i = thread; i < PEAKS; i += 64u) {
        let first = max(peaks[i].x, peaks[i + PEAKS].x);
        tops[i] = max(first, max(peaks[i + 2u * PEAKS].x, peaks[i + 3u * PEAKS].x));
    }
    workgroupBarrier();
    for (var i = thread; i < PEAKS; i += 64u) {
        let own = tops[i];
        var rank = 0u;
        for (var other = 0u; other < PEAKS; other++) {
            if (tops[other] > own || (tops[other] == own && other < i)) { rank++; }
        }
        if (rank + 1u == params.wanted) { threshold = own; }
    }
    workgroupBarrier();
    if (group.x == 0u && thread == 0u) { atomicStore(&list[1], threshold); }
    for (var i = group.x * 64u + thread; i < params.columns; i += groups.x * 64u) {
        if (order_of(x[i]) >= threshold) {
            let at = atomicAdd(&list[0], 1u);
            if (at < params.entries_max) {
                atomicStore(&list[2u + 2u * at], i);
                atomicStore(&list[3u + 2u * at], x[i]);
            }
        }
    }
}
