// MXFP4: blocks of 32 floats of 4 bits, and an exponent. The buffer holds the 4 words of nibbles of all blocks first,
// then from word `params.scales_word` on all exponents, four a word.
//#import formats/shared/nibbles.wgsl

// Twice what the nibbles stand for, four signed bytes a word.
const VALUES = vec4<u32>(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);

fn value_of(nibble: u32) -> f32 {
    return f32(extractBits(bitcast<i32>(VALUES[nibble >> 2u]), (nibble & 3u) * 8u, 8u));
}

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    let exponent = (weights[params.scales_word + (block >> 2u)] >> ((block & 3u) * 8u)) & 255u;
    // Half of the power of two; the two least ones are subnormal.
    let scale = bitcast<f32>(select((exponent - 1u) << 23u, 0x00200000u << (exponent & 1u), exponent < 2u));
    let nibbles = nibbles4(block * 4u, at);
    return scale * vec4<f32>(value_of(nibbles.x), value_of(nibbles.y), value_of(nibbles.z), value_of(nibbles.w));
}
