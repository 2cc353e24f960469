// Q8_0: one load of half a block.
const CHUNK = 16u;

// The product of CHUNK weights from `at` on, a multiple of CHUNK, with as many numbers, whose sum is `sum`.
fn chunk_dot(at: u32, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    let quants = wide_weights[at >> 4u];
    return scale * (dot(vec4<f32>(unpack4xI8(quants.x)), (*v)[0]) + dot(vec4<f32>(unpack4xI8(quants.y)), (*v)[1])
        + dot(vec4<f32>(unpack4xI8(quants.z)), (*v)[2]) + dot(vec4<f32>(unpack4xI8(quants.w)), (*v)[3]));
}
