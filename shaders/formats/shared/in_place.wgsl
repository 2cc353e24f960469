// Nibbles to floats without a shift or a conversion for each: under the bits of 2^23 an integer of up to 23 bits makes
// the float 2^23 + integer, from which 2^23 is taken exactly. A nibble stays where it is in its word, and so comes out
// times 1, 16, 256 or 4096; what it is multiplied by is divided by that before, which is exact too.
const CHUNK_FACTORS = vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625);

// The four lower nibbles of a word, less `offset`, divided by CHUNK_FACTORS.
fn in_place4(word: u32, offset: f32) -> vec4<f32> {
    let bits = (vec4<u32>(word) & vec4<u32>(0xfu, 0xf0u, 0xf00u, 0xf000u)) | vec4<u32>(0x4b000000u);
    return bitcast<vec4<f32>>(bits) - (vec4<f32>(8388608.0) + offset * vec4<f32>(1.0, 16.0, 256.0, 4096.0));
}
