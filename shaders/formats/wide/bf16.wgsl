// BF16: a load of eight weights.
alias Wide = vec4<u32>;
const CHUNK = 8u;
const CHUNK_FACTORS = vec4<f32>(1.0);

struct Chunk { words: vec4<u32> }

fn halves4(low: u32, high: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));
}

// CHUNK weights from `at` on, a multiple of CHUNK, as they are stored.
fn chunk_load(at: u32) -> Chunk {
    return Chunk(wide_weights[at >> 3u]);
}

// The product of a chunk with CHUNK numbers, each times its CHUNK_FACTORS, whose sum without them is `sum`.
fn chunk_dot(chunk: Chunk, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    return dot(halves4(chunk.words.x, chunk.words.y), (*v)[0]) + dot(halves4(chunk.words.z, chunk.words.w), (*v)[1]);
}
