// LEVELS2: a row's word of a tile.
struct Raw { word: u32, scales: u32 }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    let row = at / params.columns;
    let column = at - row * params.columns;
    let tile = ((row >> 4u) * (params.columns >> 4u) + (column >> 4u)) * 16u;
    return Raw(weights[tile + (row & 15u)], weights[params.scales_word + (row >> 1u)]);
}

// Four columns' levels, halved; in a float's lowest bits a number needs no conversion.
fn half_levels(word: u32) -> vec4<f32> {
    let indices = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(3u);
    return (bitcast<vec4<f32>>(indices | vec4<u32>(0x4b000000u)) - 8388608.0) - 1.5;
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    let scale = unpack2x16float(raw.scales)[(at / params.columns) & 1u];
    return 2.0 * scale * mat4x4<f32>(
        half_levels(raw.word), half_levels(raw.word >> 2u), half_levels(raw.word >> 4u), half_levels(raw.word >> 6u),
    );
}
