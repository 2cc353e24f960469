// IQ4_NL: blocks of 32 nibbles that name values, and one F16 scale. The buffer holds the 4 words of nibbles of all
// blocks first, then from word `params.scales_word` on all scales, two a word.
//#import formats/shared/scale.wgsl
//#import formats/shared/nibbles.wgsl
//#import formats/shared/kvalues.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    return block_scale(block) * values_of(nibbles4(block * 4u, at));
}
