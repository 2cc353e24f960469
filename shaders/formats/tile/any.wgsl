// A format without a reading of its own: four weights at a time, when they are needed.
struct Raw { unused: u32 }

// Begins to read 16 weights from `at` on, a multiple of 16.
fn fetch16(at: u32) -> Raw {
    return Raw(0u);
}

// The weights that were read.
fn decode16(raw: Raw, at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weights4(at), weights4(at + 4u), weights4(at + 8u), weights4(at + 12u));
}
