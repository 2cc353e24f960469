// IQ2_S: blocks of 256 elements, eights from a grid, which fills the buffer's first 512 words. Then come 20 words of
// all blocks, 8 of choices, 8 of signs, 2 of the choices' upper bits and 2 of scales of 4 bits, then from word
// `params.scales_word` on all F16 scales, two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/eights.wgsl

const TABLE_WORDS = 512u;

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = TABLE_WORDS + block * 20u;
    let eight = (at >> 3u) & 31u;
    let high = (weights[first + 16u + (eight >> 4u)] >> ((eight & 15u) * 2u)) & 3u;
    let choice = ((weights[first + (eight >> 2u)] >> ((eight & 3u) * 8u)) & 255u) | (high << 8u);
    let signs = signs4(weights[first + 8u + (eight >> 2u)] >> (at & 31u));
    let nth = eight >> 1u;
    let scale4 = (weights[first + 18u + (nth >> 3u)] >> ((nth & 7u) * 4u)) & 15u;
    return block_scale(block) * (0.5 + f32(scale4)) * 0.25 * magnitudes4(choice, (at & 4u) != 0u) * signs;
}
