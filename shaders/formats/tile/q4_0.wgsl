// Q4_0: half a block.

// Of four nibbles; in a float's lowest bits a number needs no conversion.
fn nibbles_less_8(word: u32) -> vec4<f32> {
    let quants = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    return bitcast<vec4<f32>>(quants | vec4<u32>(0x4b000000u)) - vec4<f32>(8388616.0);
}

// 16 weights from `at` on, a multiple of 16.
fn weights16(at: u32) -> mat4x4<f32> {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    let first = weights[at >> 3u];
    let second = weights[(at >> 3u) + 1u];
    return scale * mat4x4<f32>(
        nibbles_less_8(first), nibbles_less_8(first >> 16u), nibbles_less_8(second), nibbles_less_8(second >> 16u),
    );
}
