// Rotary position embedding (Su et al. 2021, equation 34), in place: each pair of a head's numbers turns by an angle
// that grows with the token's position. The pairs are (i, i + rotary / 2), or (2 i, 2 i + 1) if `interleaved` is 1.
// Cosines and sines come from a table that the CPU computed in float64: a GPU's own are too coarse at far positions.
//#import shared/step.wgsl

struct Params {
    heads: u32,
    head_dim: u32,
    rotary: u32,        // how many of a head's numbers turn; even
    interleaved: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;     // (context, rotary / 2): cosine, sine
@group(0) @binding(3) var<storage, read_write> x: array<f32>;         // (tokens, heads, head_dim)

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.tokens) { return; }
    let pairs = params.rotary >> 1u;
    for (var i = thread; i < params.heads * pairs; i += 64u) {
        let head = i / pairs;
        let pair = i % pairs;
        let turn = table[(step.position + token) * pairs + pair];
        let start = (token * params.heads + head) * params.head_dim;
        var first = start + pair;
        var second = first + pairs;
        if (params.interleaved == 1u) {
            first = start + 2u * pair;
            second = first + 1u;
        }
        let a = x[first];
        let b = x[second];
        x[first] = a * turn.x - b * turn.y;
        x[second] = a * turn.y + b * turn.x;
    }
}
