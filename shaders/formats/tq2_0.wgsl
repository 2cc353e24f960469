// TQ2_0: blocks of 256 elements that are -1, 0 or 1, as 2 bits less 1. The buffer holds 16 words of all blocks first,
// then from word `params.scales_word` on all F16 scales, two a word.
//#import formats/shared/scale.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    // Half a block is 8 words; each 32 elements are 2 bits further up in them.
    let word = weights[block * 16u + ((at >> 4u) & 8u) + ((at >> 2u) & 7u)] >> ((at >> 4u) & 6u);
    return block_scale(block) * (vec4<f32>(unpack4xU8(word & 0x03030303u)) - 1.0);
}
