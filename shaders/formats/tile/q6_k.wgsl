// Q6_K: a load of nibbles and one of upper bits for 16 weights, which share a scale of 8 bits.
struct Raw { nibbles: vec4<u32>, twos: vec4<u32>, scale8: u32, scales: u32 }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    let block = at >> 8u;
    let first = block * 13u;
    let half = (at >> 7u) & 1u;
    let quarter = (at >> 5u) & 3u;
    let sixteen = (at >> 4u) & 1u;
    return Raw(
        wide_weights[first + half * 4u + ((quarter & 1u) << 1u) + sixteen],
        wide_weights[first + 8u + half * 2u + sixteen],
        weights[block * 52u + 48u + ((at >> 6u) & 3u)],
        weights[params.scales_word + (block >> 1u)],
    );
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    let quarter = (at >> 5u) & 3u;
    let scale8 = extractBits(bitcast<i32>(raw.scale8), ((at >> 4u) & 3u) * 8u, 8u);
    let scale = unpack2x16float(raw.scales)[(at >> 8u) & 1u] * f32(scale8);
    let nibbles = (raw.nibbles >> vec4<u32>((quarter >> 1u) << 2u)) & vec4<u32>(0x0f0f0f0fu);
    let quants = nibbles | (((raw.twos >> vec4<u32>(quarter * 2u)) & vec4<u32>(0x03030303u)) << vec4<u32>(4u));
    return scale * mat4x4<f32>(
        vec4<f32>(unpack4xU8(quants.x)) - 32.0, vec4<f32>(unpack4xU8(quants.y)) - 32.0,
        vec4<f32>(unpack4xU8(quants.z)) - 32.0, vec4<f32>(unpack4xU8(quants.w)) - 32.0,
    );
}
