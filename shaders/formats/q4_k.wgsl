// Q4_K: blocks of 256 nibbles; each 32 have a scale and a minimum of 6 bits. The buffer holds the 32 words of nibbles of
// all blocks first, then from word `params.scales_word` on a word of two F16 and three of those for each.
//#import formats/shared/sixes.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let part = (at >> 5u) & 7u;
    let scale = scale_and_minimum(part, block);
    // A quarter of a block is 8 words, its second 32 elements the high nibbles.
    let word = weights[(block << 5u) + ((part >> 1u) << 3u) + ((at >> 2u) & 7u)] >> ((part & 1u) << 2u);
    return scale.x * vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)) - scale.y;
}
