// Q4_K times 32 numbers of 8 bits: two loads, of which the lower or the upper nibbles are meant.
//#import formats/shared/int8.wgsl

fn pack_chunk(v: ptr<function, array<vec4<f32>, 8>>, inverse: f32, packed: ptr<function, array<u32, 8>>) {
    pack_in_order(v, inverse, packed);
}

// The product of 32 weights from `at` on, a multiple of 32, with as many packed numbers, whose sum is `sum`.
fn packed_dot(at: u32, v: ptr<function, array<u32, 8>>, sum: i32) -> f32 {
    let block = at >> 8u;
    let part = (at >> 5u) & 7u;
    let scale = scale_and_minimum(part, block);
    let first = (block << 3u) + ((part >> 1u) << 1u);
    let shift = vec4<u32>((part & 1u) << 2u);
    let a = (wide_weights[first] >> shift) & vec4<u32>(0x0f0f0f0fu);
    let b = (wide_weights[first + 1u] >> shift) & vec4<u32>(0x0f0f0f0fu);
    let products = dot4I8Packed(a.x, (*v)[0]) + dot4I8Packed(a.y, (*v)[1]) + dot4I8Packed(a.z, (*v)[2])
        + dot4I8Packed(a.w, (*v)[3]) + dot4I8Packed(b.x, (*v)[4]) + dot4I8Packed(b.y, (*v)[5])
        + dot4I8Packed(b.z, (*v)[6]) + dot4I8Packed(b.w, (*v)[7]);
    return scale.x * f32(products) - scale.y * f32(sum);
}
