// Chooses each token's experts: those of the highest scores, with the shares that a softmax over all experts gives them,
// or over the chosen ones if `renormalise` is 1 (Shazeer et al. 2017). An expert's place among the chosen is the number of
// experts with a higher score, so that nothing has to be sorted; of two alike the one with the lower number wins.
//#import shared/step.wgsl

struct Params {
    experts: u32,       // at most 256
    slots: u32,         // experts that a token gets
    renormalise: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> scores: array<f32>;                // (tokens, experts)
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;       // (tokens, slots): expert, share

//#import shared/reduce.wgsl

var<workgroup> score: array<f32, 256>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.tokens) { return; }
    for (var i = thread; i < params.experts; i += 64u) { score[i] = scores[token * params.experts + i]; }
    workgroupBarrier();
    var highest = score[0];
    for (var i = 1u; i < params.experts; i++) { highest = max(highest, score[i]); }
    var places: array<u32, 4>;
    var sum = 0.0;
    for (var n = 0u; n < 4u; n++) {
        let expert = thread + 64u * n;
        if (expert >= params.experts) { break; }
        let own = score[expert];
        var place = 0u;
        for (var i = 0u; i < params.experts; i++) {
            if (score[i] > own || (score[i] == own && i < expert)) { place++; }
        }
        places[n] = place;
        if (params.renormalise == 0u || place < params.slots) { sum += exp(own - highest); }
    }
    let total = workgroup_sum4(vec4<f32>(sum, 0.0, 0.0, 0.0), thread).x;
    for (var n = 0u; n < 4u; n++) {
        let expert = thread + 64u * n;
        if (expert >= params.experts) { break; }
        if (places[n] < params.slots) {
            out[token * params.slots + places[n]] = vec2<f32>(f32(expert), exp(score[expert] - highest) / total);
        }
    }
}
