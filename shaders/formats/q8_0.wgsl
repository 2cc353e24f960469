// Q8_0: blocks of 32 signed bytes and one F16 scale. The buffer holds all bytes of the rows first, four a word, then
// from word `params.scales_word` on all scales, two a word.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    return scale * vec4<f32>(unpack4xI8(weights[at >> 2u]));
}
