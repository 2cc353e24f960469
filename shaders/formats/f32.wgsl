// F32: one element a word.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]));
}
