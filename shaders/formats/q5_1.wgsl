// Q5_1: blocks of 32 elements of 5 bits, an F16 scale and an F16 minimum. The buffer holds 5 words of all blocks first,
// a word of fifth bits and four of nibbles, then from word `params.scales_word` on a word of scale and minimum for
// each.
//#import formats/shared/nibbles.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    let first = block * 5u;
    let bits = vec4<u32>(weights[first] >> (at & 31u)) >> vec4<u32>(0u, 1u, 2u, 3u);
    let fifth = (bits & vec4<u32>(1u)) * 16u;
    let scale = unpack2x16float(weights[params.scales_word + block]);
    return scale.x * vec4<f32>(nibbles4(first + 1u, at) | fifth) + scale.y;
}
