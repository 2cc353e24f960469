// BF16: two loads of eight weights.
struct Raw { first: vec4<u32>, second: vec4<u32> }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    return Raw(wide_weights[at >> 3u], wide_weights[(at >> 3u) + 1u]);
}

fn halves4(low: u32, high: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    let a = raw.first;
    let b = raw.second;
    return mat4x4<f32>(halves4(a.x, a.y), halves4(a.z, a.w), halves4(b.x, b.y), halves4(b.z, b.w));
}
