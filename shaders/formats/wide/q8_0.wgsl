// Q8_0: a load of a quarter of a block. Loads of 16 bytes would be fewer, but would set the threads' parts of x further
// apart than a cache line serves at once.
alias Wide = vec2<u32>;
const CHUNK = 8u;
const CHUNK_FACTORS = vec4<f32>(1.0);

struct Chunk { at: u32, words: vec2<u32>, scales: u32 }

// CHUNK weights from `at` on, a multiple of CHUNK, as they are stored.
fn chunk_load(at: u32) -> Chunk {
    return Chunk(at, wide_weights[at >> 3u], weights[params.scales_word + (at >> 6u)]);
}

// The product of a chunk with CHUNK numbers, each times its CHUNK_FACTORS, whose sum without them is `sum`.
fn chunk_dot(chunk: Chunk, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let scale = unpack2x16float(chunk.scales)[(chunk.at >> 5u) & 1u];
    return scale * (dot(vec4<f32>(unpack4xI8(chunk.words.x)), (*v)[0]) + dot(vec4<f32>(unpack4xI8(chunk.words.y)), (*v)[1]));
}
