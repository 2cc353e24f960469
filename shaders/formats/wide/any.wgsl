// A format without a reading of its own: four weights at a time.
const CHUNK = 16u;

// The product of CHUNK weights from `at` on, a multiple of CHUNK, with as many numbers, whose sum is `sum`.
fn chunk_dot(at: u32, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    return dot(weights4(at), (*v)[0]) + dot(weights4(at + 4u), (*v)[1]) + dot(weights4(at + 8u), (*v)[2])
        + dot(weights4(at + 12u), (*v)[3]);
}
