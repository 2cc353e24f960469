// BF16: the upper half of an F32; two elements a word, the first in the lower half.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let low = weights[at >> 1u];
    let high = weights[(at >> 1u) + 1u];
    return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));
}
