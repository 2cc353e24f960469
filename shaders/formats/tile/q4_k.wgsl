// Q4_K: one load of 16 weights, the lower or the upper nibbles of its bytes.

// 16 weights from `at` on, a multiple of 16.
fn weights16(at: u32) -> mat4x4<f32> {
    let block = at >> 8u;
    let part = (at >> 5u) & 7u;
    let scale = scale_and_minimum(part, block);
    // A quarter of a block is two such loads, its second 32 elements the high nibbles.
    let word = wide_weights[(block << 3u) + ((part >> 1u) << 1u) + ((at >> 4u) & 1u)] >> vec4<u32>((part & 1u) << 2u);
    let quants = word & vec4<u32>(0x0f0f0f0fu);
    return mat4x4<f32>(
        scale.x * vec4<f32>(unpack4xU8(quants.x)) - scale.y, scale.x * vec4<f32>(unpack4xU8(quants.y)) - scale.y,
        scale.x * vec4<f32>(unpack4xU8(quants.z)) - scale.y, scale.x * vec4<f32>(unpack4xU8(quants.w)) - scale.y,
    );
}
