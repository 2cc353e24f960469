// Q4_0: half a block.
struct Raw { quants: vec2<u32>, scales: u32 }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    let quants = vec2<u32>(weights[at >> 3u], weights[(at >> 3u) + 1u]);
    return Raw(quants, weights[params.scales_word + (at >> 6u)]);
}

// Four nibbles less 8; in a float's lowest bits a number needs no conversion.
fn nibbles_less_8(word: u32) -> vec4<f32> {
    let quants = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    return bitcast<vec4<f32>>(quants | vec4<u32>(0x4b000000u)) - vec4<f32>(8388616.0);
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    let scale = unpack2x16float(raw.scales)[(at >> 5u) & 1u];
    let quants = raw.quants;
    return scale * mat4x4<f32>(
        nibbles_less_8(quants.x), nibbles_less_8(quants.x >> 16u),
        nibbles_less_8(quants.y), nibbles_less_8(quants.y >> 16u),
    );
}
