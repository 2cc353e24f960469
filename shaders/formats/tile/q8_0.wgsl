// Q8_0: half a block, in one load.

// Of four signed bytes, made unsigned; in a float's lowest bits a number needs no conversion.
fn bytes4(word: u32) -> vec4<f32> {
    let quants = (vec4<u32>(word ^ 0x80808080u) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
    return bitcast<vec4<f32>>(quants | vec4<u32>(0x4b000000u)) - vec4<f32>(8388736.0);
}

// 16 weights from `at` on, a multiple of 16.
fn weights16(at: u32) -> mat4x4<f32> {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    let quants = wide_weights[at >> 4u];
    return scale * mat4x4<f32>(bytes4(quants.x), bytes4(quants.y), bytes4(quants.z), bytes4(quants.w));
}
