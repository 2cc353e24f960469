// Q4_K: two loads of 32 weights, whose minimum is taken off the sum of products at once.
alias Wide = vec4<u32>;
const CHUNK = 32u;
const CHUNK_FACTORS = vec4<f32>(1.0);

struct Chunk { at: u32, low: vec4<u32>, high: vec4<u32>, scale: vec2<f32> }

// CHUNK weights from `at` on, a multiple of CHUNK, as they are stored.
fn chunk_load(at: u32) -> Chunk {
    let block = at >> 8u;
    let part = (at >> 5u) & 7u;
    // A quarter of a block is two such loads, its second 32 elements the high nibbles.
    let first = (block << 3u) + ((part >> 1u) << 1u);
    return Chunk(at, wide_weights[first], wide_weights[first + 1u], scale_and_minimum(part, block));
}

// The product of a chunk with CHUNK numbers, each times its CHUNK_FACTORS, whose sum without them is `sum`.
fn chunk_dot(chunk: Chunk, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let shift = vec4<u32>(((chunk.at >> 5u) & 1u) << 2u);
    let a = (chunk.low >> shift) & vec4<u32>(0x0f0f0f0fu);
    let b = (chunk.high >> shift) & vec4<u32>(0x0f0f0f0fu);
    let products = dot(vec4<f32>(unpack4xU8(a.x)), (*v)[0]) + dot(vec4<f32>(unpack4xU8(a.y)), (*v)[1])
        + dot(vec4<f32>(unpack4xU8(a.z)), (*v)[2]) + dot(vec4<f32>(unpack4xU8(a.w)), (*v)[3])
        + dot(vec4<f32>(unpack4xU8(b.x)), (*v)[4]) + dot(vec4<f32>(unpack4xU8(b.y)), (*v)[5])
        + dot(vec4<f32>(unpack4xU8(b.z)), (*v)[6]) + dot(vec4<f32>(unpack4xU8(b.w)), (*v)[7]);
    return chunk.scale.x * products - chunk.scale.y * sum;
}
