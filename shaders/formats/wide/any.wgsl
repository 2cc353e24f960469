// A format without a reading of its own: four weights at a time.
alias Wide = u32;
const CHUNK = 16u;
const CHUNK_FACTORS = vec4<f32>(1.0);

struct Chunk { at: u32 }

// CHUNK weights from `at` on, a multiple of CHUNK, as they are stored.
fn chunk_load(at: u32) -> Chunk {
    return Chunk(at);
}

// The product of a chunk with CHUNK numbers, each times its CHUNK_FACTORS, whose sum without them is `sum`.
fn chunk_dot(chunk: Chunk, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    return dot(weights4(chunk.at), (*v)[0]) + dot(weights4(chunk.at + 4u), (*v)[1])
        + dot(weights4(chunk.at + 8u), (*v)[2]) + dot(weights4(chunk.at + 12u), (*v)[3]);
}
