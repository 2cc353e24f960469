// Q4_K: one load of 16 weights, the lower or the upper nibbles of its bytes, and one of what scales them.
struct Raw { quants: vec4<u32>, scales: vec4<u32> }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    let block = at >> 8u;
    // A quarter of a block is two loads, its second 32 elements the high nibbles.
    let quants = wide_weights[(block << 3u) + (((at >> 6u) & 3u) << 1u) + ((at >> 4u) & 1u)];
    let first = params.scales_word + (block << 2u);
    return Raw(quants, vec4<u32>(weights[first], weights[first + 1u], weights[first + 2u], weights[first + 3u]));
}

fn nibbles4_of(word: u32, scale: vec2<f32>) -> vec4<f32> {
    return scale.x * vec4<f32>(unpack4xU8(word)) - scale.y;
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    let part = (at >> 5u) & 7u;
    let scale = scale_and_minimum_of(raw.scales, part);
    let quants = (raw.quants >> vec4<u32>((part & 1u) << 2u)) & vec4<u32>(0x0f0f0f0fu);
    return mat4x4<f32>(
        nibbles4_of(quants.x, scale), nibbles4_of(quants.y, scale),
        nibbles4_of(quants.z, scale), nibbles4_of(quants.w, scale),
    );
}
