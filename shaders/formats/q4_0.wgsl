// Q4_0: blocks of 32 nibbles, offset by 8, and one F16 scale. The buffer holds all nibbles of the rows first, eight a
// word with the first in the lowest bits, then from word `params.scales_word` on all scales, two a word.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    // The upper four of a word's eight nibbles if `at` is an odd multiple of 4.
    let nibbles = weights[at >> 3u] >> ((at & 4u) << 2u);
    let quants = (vec4<u32>(nibbles) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    return scale * (vec4<f32>(quants) - 8.0);
}
