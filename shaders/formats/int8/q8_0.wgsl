// Q8_0 times 32 numbers of 8 bits: two loads of 16 weights.
//#import formats/shared/int8.wgsl
alias Wide = vec4<u32>;

struct Chunk { low: vec4<u32>, high: vec4<u32>, scale: f32 }

fn pack_chunk(v: ptr<function, array<vec4<f32>, 8>>, inverse: f32, packed: ptr<function, array<u32, 8>>) {
    pack_in_order(v, inverse, packed);
}

// 32 weights from `at` on, a multiple of 32, as they are stored.
fn packed_load(at: u32) -> Chunk {
    let block = at >> 5u;
    let scale = unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
    return Chunk(wide_weights[block << 1u], wide_weights[(block << 1u) + 1u], scale);
}

// The product of a chunk with as many packed numbers, whose sum is `sum`.
fn packed_dot(chunk: Chunk, v: ptr<function, array<u32, 8>>, sum: i32) -> f32 {
    let a = chunk.low;
    let b = chunk.high;
    return chunk.scale * f32(dot4I8Packed(a.x, (*v)[0]) + dot4I8Packed(a.y, (*v)[1]) + dot4I8Packed(a.z, (*v)[2])
        + dot4I8Packed(a.w, (*v)[3]) + dot4I8Packed(b.x, (*v)[4]) + dot4I8Packed(b.y, (*v)[5])
        + dot4I8Packed(b.z, (*v)[6]) + dot4I8Packed(b.w, (*v)[7]));
}
