// IQ4_XS: blocks of 256 nibbles that name values; each 32 have a scale of 6 bits less 32. The buffer holds 33 words of
// all blocks first, one of the scales' lower bits and 32 of nibbles, then from word `params.scales_word` on a word for
// each: an F16 scale, and the scales' upper bits.
//#import formats/shared/nibbles.wgsl
//#import formats/shared/kvalues.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = block * 33u;
    let part = (at >> 5u) & 7u;
    let word = weights[params.scales_word + block];
    let six = ((weights[first] >> (part * 4u)) & 15u) | (((word >> (16u + part * 2u)) & 3u) << 4u);
    let scale = unpack2x16float(word).x * (f32(six) - 32.0);
    return scale * values_of(nibbles4(first + 1u + part * 4u, at));
}
