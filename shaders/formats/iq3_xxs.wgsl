// IQ3_XXS: blocks of 256 elements, fours from a grid, which fills the buffer's first 128 words. Then come 24 words of
// all blocks, 16 of choices and 8 of signs and scales of 4 bits, then from word `params.scales_word` on all F16 scales,
// two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/signs.wgsl

const TABLE_WORDS = 128u;

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = TABLE_WORDS + block * 24u;
    let choice = (weights[first + ((at >> 4u) & 15u)] >> ((at << 1u) & 24u)) & 255u;
    let entry = vec4<u32>(table_entry(choice)) >> vec4<u32>(0u, 4u, 8u, 12u);
    let threes = entry & vec4<u32>(7u);
    // 4, 12, 20, ... 52, but 62.
    let magnitudes = vec4<f32>(vec4<u32>(4u) + threes * 8u + ((threes + 1u) >> vec4<u32>(3u)) * 2u);
    let word = weights[first + 16u + ((at >> 5u) & 7u)];
    let signs = signs4(even_signs(word >> (((at >> 3u) & 3u) * 7u)) >> (at & 4u));
    return block_scale(block) * (0.5 + f32(word >> 28u)) * 0.5 * magnitudes * signs;
}
