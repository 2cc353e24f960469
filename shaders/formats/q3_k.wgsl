// Q3_K: blocks of 256 elements of 3 bits less 4; each 16 have a scale of 6 bits less 32. The buffer holds 27 words of
// all blocks first, 8 of third bits, 16 of the lower two and 3 of scales, then from word `params.scales_word` on all
// F16 scales, two a word.
//#import formats/shared/scale.wgsl

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = block * 27u;
    let part = (at >> 5u) & 7u;
    let lane = (at >> 2u) & 7u;
    let nth = (at >> 4u) & 15u;
    let low = (weights[first + 24u + ((nth >> 2u) & 1u)] >> ((nth & 3u) * 8u + ((nth >> 1u) & 4u))) & 15u;
    let high = (weights[first + 26u] >> ((nth & 3u) * 8u + ((nth >> 1u) & 6u))) & 3u;
    let scale = block_scale(block) * (f32(low | (high << 4u)) - 32.0);
    let twos = unpack4xU8((weights[first + 8u + ((part & 4u) << 1u) + lane] >> ((part & 3u) * 2u)) & 0x03030303u);
    let thirds = unpack4xU8((weights[first + lane] >> part) & 0x01010101u);
    return scale * (vec4<f32>(twos + thirds * 4u) - 4.0);
}
