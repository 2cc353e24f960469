// IQ2_XS: blocks of 256 elements, eights from a grid, which fills the buffer's first 256 words. Then come 18 words of
// all blocks, 16 of choices and signs and 2 of scales of 4 bits, then from word `params.scales_word` on all F16 scales,
// two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/eights.wgsl

const TABLE_WORDS = 256u;

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = TABLE_WORDS + block * 18u;
    let half = weights[first + ((at >> 4u) & 15u)] >> ((at << 1u) & 16u);
    let signs = signs4(even_signs(half >> 9u) >> (at & 4u));
    let nth = (at >> 4u) & 15u;
    let scale4 = (weights[first + 16u + (nth >> 3u)] >> ((nth & 7u) * 4u)) & 15u;
    return block_scale(block) * (0.5 + f32(scale4)) * 0.25 * magnitudes4(half & 511u, (at & 4u) != 0u) * signs;
}
