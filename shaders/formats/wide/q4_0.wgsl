// Q4_0: one load of a block. The offset of 8 is taken off the sum of products at once.
const CHUNK = 32u;

// Eight nibbles, the first in the lowest bits: even ones are the bytes' lower halves.
fn eight_dot(word: u32, a: vec4<f32>, b: vec4<f32>) -> f32 {
    let even = vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu));
    let odd = vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu));
    return dot(even, vec4<f32>(a.x, a.z, b.x, b.z)) + dot(odd, vec4<f32>(a.y, a.w, b.y, b.w));
}

// The product of CHUNK weights from `at` on, a multiple of CHUNK, with as many numbers, whose sum is `sum`.
fn chunk_dot(at: u32, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    let quants = wide_weights[block];
    let products = eight_dot(quants.x, (*v)[0], (*v)[1]) + eight_dot(quants.y, (*v)[2], (*v)[3])
        + eight_dot(quants.z, (*v)[4], (*v)[5]) + eight_dot(quants.w, (*v)[6], (*v)[7]);
    return scale * (products - 8.0 * sum);
}
