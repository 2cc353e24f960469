// Q5_K: blocks of 256 elements of 5 bits; each 32 have a scale and a minimum of 6 bits. The buffer holds 40 words of
// all blocks first, 8 of fifth bits and 32 of nibbles, then from word `params.scales_word` on a word of two F16 and three
// of those for each.
//#import formats/shared/sixes.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = block * 40u;
    let part = (at >> 5u) & 7u;
    let lane = (at >> 2u) & 7u;
    let scale = scale_and_minimum(part, block);
    let nibbles = (weights[first + 8u + ((part >> 1u) << 3u) + lane] >> ((part & 1u) << 2u)) & 0x0f0f0f0fu;
    let fifth = ((weights[first + lane] >> part) & 0x01010101u) << 4u;
    return scale.x * vec4<f32>(unpack4xU8(nibbles | fifth)) - scale.y;
}
