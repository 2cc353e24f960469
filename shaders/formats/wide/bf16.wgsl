// BF16: two loads of eight weights.
const CHUNK = 16u;

fn halves4(low: u32, high: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));
}

// The product of CHUNK weights from `at` on, a multiple of CHUNK, with as many numbers, whose sum is `sum`.
fn chunk_dot(at: u32, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let a = wide_weights[at >> 3u];
    let b = wide_weights[(at >> 3u) + 1u];
    return dot(halves4(a.x, a.y), (*v)[0]) + dot(halves4(a.z, a.w), (*v)[1]) + dot(halves4(b.x, b.y), (*v)[2])
        + dot(halves4(b.z, b.w), (*v)[3]);
}
