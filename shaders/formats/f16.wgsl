// F16: two elements a word, the first in the lower half. Unpacked by a built-in function of core WGSL, which needs no
// `enable f16`.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let word = at >> 1u;
    return vec4<f32>(unpack2x16float(weights[word]), unpack2x16float(weights[word + 1u]));
}
