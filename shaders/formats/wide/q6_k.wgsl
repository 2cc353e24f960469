// Q6_K: a load of nibbles and one of upper bits for 16 weights, which share a scale of 8 bits.
alias Wide = vec4<u32>;
const CHUNK = 16u;
const CHUNK_FACTORS = vec4<f32>(1.0);

struct Chunk { nibbles: vec4<u32>, twos: vec4<u32>, at: u32, scales: u32, block_scale: f32 }

// CHUNK weights from `at` on, a multiple of CHUNK, as they are stored.
fn chunk_load(at: u32) -> Chunk {
    let block = at >> 8u;
    let first = block * 13u;
    let half = (at >> 7u) & 1u;
    let quarter = (at >> 5u) & 3u;
    let sixteen = (at >> 4u) & 1u;
    return Chunk(
        wide_weights[first + half * 4u + ((quarter & 1u) << 1u) + sixteen],
        wide_weights[first + 8u + half * 2u + sixteen],
        at,
        weights[block * 52u + 48u + ((at >> 6u) & 3u)],
        block_scale(block),
    );
}

// The product of a chunk with CHUNK numbers, each times its CHUNK_FACTORS, whose sum without them is `sum`.
fn chunk_dot(chunk: Chunk, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let quarter = (chunk.at >> 5u) & 3u;
    let scale8 = extractBits(bitcast<i32>(chunk.scales), ((chunk.at >> 4u) & 3u) * 8u, 8u);
    let nibbles = chunk.nibbles >> vec4<u32>((quarter >> 1u) << 2u);
    let twos = chunk.twos >> vec4<u32>(quarter * 2u);
    let quants = (nibbles & vec4<u32>(0x0f0f0f0fu)) | ((twos & vec4<u32>(0x03030303u)) << vec4<u32>(4u));
    let products = dot(vec4<f32>(unpack4xU8(quants.x)), (*v)[0]) + dot(vec4<f32>(unpack4xU8(quants.y)), (*v)[1])
        + dot(vec4<f32>(unpack4xU8(quants.z)), (*v)[2]) + dot(vec4<f32>(unpack4xU8(quants.w)), (*v)[3]);
    return chunk.block_scale * f32(scale8) * (products - 32.0 * sum);
}
