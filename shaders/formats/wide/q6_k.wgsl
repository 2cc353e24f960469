// Q6_K: a load of nibbles and one of upper bits for 16 weights, which share a scale of 8 bits.
const CHUNK = 16u;

// The product of CHUNK weights from `at` on, a multiple of CHUNK, with as many numbers, whose sum is `sum`.
fn chunk_dot(at: u32, v: ptr<function, array<vec4<f32>, 8>>, sum: f32) -> f32 {
    let block = at >> 8u;
    let first = block * 13u;
    let half = (at >> 7u) & 1u;
    let quarter = (at >> 5u) & 3u;
    let sixteen = (at >> 4u) & 1u;
    let nth = (at >> 4u) & 15u;
    let scale8 = extractBits(bitcast<i32>(weights[block * 52u + 48u + (nth >> 2u)]), (nth & 3u) * 8u, 8u);
    let nibbles = wide_weights[first + half * 4u + ((quarter & 1u) << 1u) + sixteen] >> vec4<u32>((quarter >> 1u) << 2u);
    let twos = wide_weights[first + 8u + half * 2u + sixteen] >> vec4<u32>(quarter * 2u);
    let quants = (nibbles & vec4<u32>(0x0f0f0f0fu)) | ((twos & vec4<u32>(0x03030303u)) << vec4<u32>(4u));
    let products = dot(vec4<f32>(unpack4xU8(quants.x)), (*v)[0]) + dot(vec4<f32>(unpack4xU8(quants.y)), (*v)[1])
        + dot(vec4<f32>(unpack4xU8(quants.z)), (*v)[2]) + dot(vec4<f32>(unpack4xU8(quants.w)), (*v)[3]);
    return block_scale(block) * f32(scale8) * (products - 32.0 * sum);
}
