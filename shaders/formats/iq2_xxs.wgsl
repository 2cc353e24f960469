// IQ2_XXS: blocks of 256 elements, eights from a grid, which fills the buffer's first 128 words. Then come 16 words of
// all blocks, for each 32 elements one of choices and one of signs and a scale of 4 bits, then from word
// `params.scales_word` on all F16 scales, two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/eights.wgsl

const TABLE_WORDS = 128u;

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = TABLE_WORDS + block * 16u + ((at >> 4u) & 14u);
    let eight = (at >> 3u) & 3u;
    let choice = (weights[first] >> (eight * 8u)) & 255u;
    let word = weights[first + 1u];
    let signs = signs4(even_signs(word >> (eight * 7u)) >> (at & 4u));
    return block_scale(block) * (0.5 + f32(word >> 28u)) * 0.25 * magnitudes4(choice, (at & 4u) != 0u) * signs;
}
