// Q6_K: a load of nibbles and one of upper bits for 16 weights, which share a scale of 8 bits.

// 16 weights from `at` on, a multiple of 16.
fn weights16(at: u32) -> mat4x4<f32> {
    let block = at >> 8u;
    let first = block * 13u;
    let half = (at >> 7u) & 1u;
    let quarter = (at >> 5u) & 3u;
    let sixteen = (at >> 4u) & 1u;
    let nth = (at >> 4u) & 15u;
    let scale8 = extractBits(bitcast<i32>(weights[block * 52u + 48u + (nth >> 2u)]), (nth & 3u) * 8u, 8u);
    let nibbles = wide_weights[first + half * 4u + ((quarter & 1u) << 1u) + sixteen] >> vec4<u32>((quarter >> 1u) << 2u);
    let twos = wide_weights[first + 8u + half * 2u + sixteen] >> vec4<u32>(quarter * 2u);
    let quants = (nibbles & vec4<u32>(0x0f0f0f0fu)) | ((twos & vec4<u32>(0x03030303u)) << vec4<u32>(4u));
    let scale = block_scale(block) * f32(scale8);
    return scale * mat4x4<f32>(
        vec4<f32>(unpack4xU8(quants.x)) - 32.0, vec4<f32>(unpack4xU8(quants.y)) - 32.0,
        vec4<f32>(unpack4xU8(quants.z)) - 32.0, vec4<f32>(unpack4xU8(quants.w)) - 32.0,
    );
}
