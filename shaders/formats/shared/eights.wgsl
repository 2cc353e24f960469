// The grids of IQ2: eight magnitudes of 2 bits, which stand for 8, 25 and 43.
//#import formats/shared/signs.wgsl

// The upper or the lower four of an entry.
fn magnitudes4(index: u32, upper: bool) -> vec4<f32> {
    let entry = table_entry(index) >> select(0u, 8u, upper);
    let twos = (vec4<u32>(entry) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(3u);
    return vec4<f32>(vec4<u32>(8u) + twos * 17u + (twos >> vec4<u32>(1u)));
}
