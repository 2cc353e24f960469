// A format without a reading of its own: four weights at a time.

// 16 weights from `at` on, a multiple of 16.
fn weights16(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weights4(at), weights4(at + 4u), weights4(at + 8u), weights4(at + 12u));
}
