// The largest number of each of 1024 slices of a row, and where it stands first. A slice is every 1024th number, so that
// neighbouring threads read neighbours.
//#import shared/step.wgsl

struct Params {
    columns: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<u32>;                     // (columns), F32 as bits
@group(0) @binding(3) var<storage, read_write> peaks: array<vec2<u32>>;     // (1024): order, place
@group(0) @binding(4) var<storage, read_write> list: array<u32>;            // of `shortlist`, whose count becomes 0

//#import shared/order.wgsl

const SLICES = 1024u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let slice = group.x * 64u + thread;
    if (slice == 0u) { list[0] = 0u; }
    // An empty slice is below every number.
    var best = vec2<u32>(0u, NOT_A_NUMBER);
    for (var i = slice; i < params.columns; i += SLICES) {
        let order = order_of(x[i]);
        if (order > best.x) { best = vec2<u32>(order, i); }
    }
    peaks[slice] = best;
}
