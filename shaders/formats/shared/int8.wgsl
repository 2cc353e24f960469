// Numbers rounded to 8 bits, four a word, for products of integers.

// 32 numbers in their order.
fn pack_in_order(v: ptr<function, array<vec4<f32>, 8>>, inverse: f32, packed: ptr<function, array<u32, 8>>) {
    for (var i = 0u; i < 8u; i++) { (*packed)[i] = pack4xI8(vec4<i32>(round((*v)[i] * inverse))); }
}

// Their sum.
fn packed_sum(packed: ptr<function, array<u32, 8>>) -> i32 {
    var sum = 0;
    for (var i = 0u; i < 8u; i++) { sum += dot4I8Packed((*packed)[i], 0x01010101u); }
    return sum;
}
