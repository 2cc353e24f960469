// Q4_0: a load of half a block. Loads of 16 bytes would be fewer, but would set the threads' parts of x further apart
// than a cache line serves at once.
//#import formats/shared/in_place.wgsl
alias Wide = vec2<u32>;
const CHUNK = 16u;

struct Chunk { at: u32, words: vec2<u32>, scales: u32 }

// CHUNK weights from `at` on, a multiple of CHUNK, as they are stored.
fn chunk_load(at: u32) -> Chunk {
    return Chunk(at, wide_weights[at >> 4u], weights[params.scales_word + (at >> 6u)]);
}

fn eight_dot(word: u32, a: vec4<f32>, b: vec4<f32>) -> f32 {
    return dot(in_place4(word, 8.0), a) + dot(in_place4(word >> 16u, 8.0), b);
}

// The product of a chunk with CHUNK numbers, each times its CHUNK_FACTORS, whose sum without them is `sum`.
fn chunk_dot(chunk: Chunk, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let scale = unpack2x16float(chunk.scales)[(chunk.at >> 5u) & 1u];
    return scale * (eight_dot(chunk.words.x, (*v)[0], (*v)[1]) + eight_dot(chunk.words.y, (*v)[2], (*v)[3]));
}
