// Q4_K: two loads of 32 weights, whose minimum is taken off the sum of products at once.
const CHUNK = 32u;

// The product of CHUNK weights from `at` on, a multiple of CHUNK, with as many numbers, whose sum is `sum`.
fn chunk_dot(at: u32, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let block = at >> 8u;
    let part = (at >> 5u) & 7u;
    let scale = scale_and_minimum(part, block);
    // A quarter of a block is two such loads, its second 32 elements the high nibbles.
    let first = (block << 3u) + ((part >> 1u) << 1u);
    let shift = vec4<u32>((part & 1u) << 2u);
    let a = (wide_weights[first] >> shift) & vec4<u32>(0x0f0f0f0fu);
    let b = (wide_weights[first + 1u] >> shift) & vec4<u32>(0x0f0f0f0fu);
    let products = dot(vec4<f32>(unpack4xU8(a.x)), (*v)[0]) + dot(vec4<f32>(unpack4xU8(a.y)), (*v)[1])
        + dot(vec4<f32>(unpack4xU8(a.z)), (*v)[2]) + dot(vec4<f32>(unpack4xU8(a.w)), (*v)[3])
        + dot(vec4<f32>(unpack4xU8(b.x)), (*v)[4]) + dot(vec4<f32>(unpack4xU8(b.y)), (*v)[5])
        + dot(vec4<f32>(unpack4xU8(b.z)), (*v)[6]) + dot(vec4<f32>(unpack4xU8(b.w)), (*v)[7]);
    return scale.x * products - scale.y * sum;
}
