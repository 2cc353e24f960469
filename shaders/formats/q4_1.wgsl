// Q4_1: blocks of 32 nibbles, an F16 scale and an F16 minimum. The buffer holds the 4 words of nibbles of all blocks
// first, then from word `params.scales_word` on a word of scale and minimum for each.
//#import formats/shared/nibbles.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + block]);
    return scale.x * vec4<f32>(nibbles4(block * 4u, at)) + scale.y;
}
