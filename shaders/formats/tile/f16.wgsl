// F16: two loads of eight weights.

// 16 weights from `at` on, a multiple of 16.
fn weights16(at: u32) -> mat4x4<f32> {
    let a = wide_weights[at >> 3u];
    let b = wide_weights[(at >> 3u) + 1u];
    return mat4x4<f32>(
        vec4<f32>(unpack2x16float(a.x), unpack2x16float(a.y)), vec4<f32>(unpack2x16float(a.z), unpack2x16float(a.w)),
        vec4<f32>(unpack2x16float(b.x), unpack2x16float(b.y)), vec4<f32>(unpack2x16float(b.z), unpack2x16float(b.w)),
    );
}
