// Q6_K: blocks of 256 elements of 6 bits less 32; each 16 have a scale of 8 bits. The buffer holds 52 words of all
// blocks first, 32 of nibbles, 16 of the upper two bits and 4 of scales, then from word `params.scales_word` on all F16
// scales, two a word.
//#import formats/shared/scale.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = block * 52u;
    let half = (at >> 7u) & 1u;
    let quarter = (at >> 5u) & 3u;
    let lane = (at >> 2u) & 7u;
    let nth = (at >> 4u) & 15u;
    let scale8 = extractBits(bitcast<i32>(weights[first + 48u + (nth >> 2u)]), (nth & 3u) * 8u, 8u);
    let nibbles = weights[first + half * 16u + ((quarter & 1u) << 3u) + lane] >> ((quarter >> 1u) << 2u);
    let twos = weights[first + 32u + half * 8u + lane] >> (quarter * 2u);
    let quants = unpack4xU8((nibbles & 0x0f0f0f0fu) | ((twos & 0x03030303u) << 4u));
    return block_scale(block) * f32(scale8) * (vec4<f32>(quants) - 32.0);
}
