// The place of the largest of all peaks, the first of equals: the token number of the next step.
//#import shared/step.wgsl

struct Params {
    peaks: u32,     // how many
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> peaks: array<vec2<u32>>;       // (peaks): order, place
@group(0) @binding(3) var<storage, read_write> ids: array<u32>;         // (1)
@group(0) @binding(4) var<storage, read_write> choice: array<f32>;      // (2): the place; 1 if no number stands there

//#import shared/order.wgsl

var<workgroup> best: array<vec2<u32>, 64>;

fn better(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (b.x > a.x || (b.x == a.x && b.y < a.y)) { return b; }
    return a;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    var own = vec2<u32>(0u, NOT_A_NUMBER);
    for (var i = thread; i < params.peaks; i += 64u) { own = better(own, peaks[i]); }
    best[thread] = own;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
        if (thread < half) { best[thread] = better(best[thread], best[thread + half]); }
        workgroupBarrier();
    }
    if (thread == 0u) {
        ids[0] = best[0].y;
        choice[0] = f32(best[0].y);
        choice[1] = select(0.0, 1.0, best[0].x == NOT_A_NUMBER);
    }
}
