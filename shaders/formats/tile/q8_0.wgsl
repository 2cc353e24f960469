// Q8_0: half a block, in one load.
struct Raw { quants: vec4<u32>, scales: u32 }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    return Raw(wide_weights[at >> 4u], weights[params.scales_word + (at >> 6u)]);
}

// Four signed bytes, made unsigned; in a float's lowest bits a number needs no conversion.
fn bytes4(word: u32) -> vec4<f32> {
    let quants = (vec4<u32>(word ^ 0x80808080u) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
    return bitcast<vec4<f32>>(quants | vec4<u32>(0x4b000000u)) - vec4<f32>(8388736.0);
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    let scale = unpack2x16float(raw.scales)[(at >> 5u) & 1u];
    let quants = raw.quants;
    return scale * mat4x4<f32>(bytes4(quants.x), bytes4(quants.y), bytes4(quants.z), bytes4(quants.w));
}
