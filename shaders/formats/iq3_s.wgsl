// IQ3_S: blocks of 256 elements, fours from a grid, which fills the buffer's first 256 words. Then come 27 words of all
// blocks, 16 of choices, 2 of their ninth bits, 8 of signs and one of scales of 4 bits, then from word
// `params.scales_word` on all F16 scales, two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/signs.wgsl

const TABLE_WORDS = 256u;

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = TABLE_WORDS + block * 27u;
    let part = (at >> 5u) & 7u;
    let four = (at >> 2u) & 63u;
    let ninth = (weights[first + 16u + (four >> 5u)] >> (four & 31u)) & 1u;
    let choice = ((weights[first + (four >> 2u)] >> ((four & 3u) * 8u)) & 255u) | (ninth << 8u);
    let threes = (vec4<u32>(table_entry(choice)) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(7u);
    let signs = signs4(weights[first + 18u + part] >> (at & 31u));
    let scale4 = (weights[first + 26u] >> (part * 4u)) & 15u;
    return block_scale(block) * f32(1u + 2u * scale4) * vec4<f32>(threes * 2u + 1u) * signs;
}
