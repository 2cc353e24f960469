// Q8_0 times 32 numbers of 8 bits: two loads of 16 weights.
//#import formats/shared/int8.wgsl

fn pack_chunk(v: ptr<function, array<vec4<f32>, 8>>, inverse: f32, packed: ptr<function, array<u32, 8>>) {
    pack_in_order(v, inverse, packed);
}

// The product of 32 weights from `at` on, a multiple of 32, with as many packed numbers, whose sum is `sum`.
fn packed_dot(at: u32, v: ptr<function, array<u32, 8>>, sum: i32) -> f32 {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    let a = wide_weights[block << 1u];
    let b = wide_weights[(block << 1u) + 1u];
    return scale * f32(dot4I8Packed(a.x, (*v)[0]) + dot4I8Packed(a.y, (*v)[1]) + dot4I8Packed(a.z, (*v)[2])
        + dot4I8Packed(a.w, (*v)[3]) + dot4I8Packed(b.x, (*v)[4]) + dot4I8Packed(b.y, (*v)[5])
        + dot4I8Packed(b.z, (*v)[6]) + dot4I8Packed(b.w, (*v)[7]));
}
