// Q5_0: blocks of 32 elements of 5 bits less 16, and one F16 scale. The buffer holds 5 words of all blocks first, a
// word of fifth bits and four of nibbles, then from word `params.scales_word` on all scales, two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/nibbles.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    let first = block * 5u;
    let bits = vec4<u32>(weights[first] >> (at & 31u)) >> vec4<u32>(0u, 1u, 2u, 3u);
    let fifth = (bits & vec4<u32>(1u)) * 16u;
    return block_scale(block) * (vec4<f32>(nibbles4(first + 1u, at) | fifth) - 16.0);
}
