// Signs and grids of the IQ formats.

// The bits of 7 signs and of an eighth that makes the number of minuses even.
fn even_signs(word: u32) -> u32 {
    let seven = word & 127u;
    return seven | ((countOneBits(seven) & 1u) << 7u);
}

// -1 where the lowest bits are 1, else 1.
fn signs4(bits: u32) -> vec4<f32> {
    return 1.0 - 2.0 * vec4<f32>((vec4<u32>(bits) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u));
}

// An entry of the table in front of the rows; two a word.
fn table_entry(index: u32) -> u32 {
    return (weights[index >> 1u] >> ((index & 1u) << 4u)) & 0xffffu;
}
