// Q2_K: blocks of 256 elements of 2 bits; each 16 have a nibble of scale and one of minimum. The buffer holds 20 words
// of all blocks first, 4 of those nibbles and 16 of elements, then from word `params.scales_word` on a word of two F16
// for each.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let first = block * 20u;
    let nibbles = (weights[first + ((at >> 6u) & 3u)] >> ((at >> 1u) & 24u)) & 255u;
    let scales = vec2<f32>(vec2<u32>(nibbles & 15u, nibbles >> 4u));
    let scale = unpack2x16float(weights[params.scales_word + block]) * scales;
    // Half a block is 8 words; each 32 elements are 2 bits further up in them.
    let word = weights[first + 4u + ((at >> 4u) & 8u) + ((at >> 2u) & 7u)] >> ((at >> 4u) & 6u);
    return scale.x * vec4<f32>(unpack4xU8(word & 0x03030303u)) - scale.y;
}
