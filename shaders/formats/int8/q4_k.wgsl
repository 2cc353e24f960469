// Q4_K times 32 numbers of 8 bits: two loads, of which the lower or the upper nibbles are meant.
//#import formats/shared/int8.wgsl
alias Wide = vec4<u32>;

struct Chunk { low: vec4<u32>, high: vec4<u32>, scale: vec2<f32> }

fn pack_chunk(v: ptr<function, array<vec4<f32>, 8>>, inverse: f32, packed: ptr<function, array<u32, 8>>) {
    pack_in_order(v, inverse, packed);
}

// 32 weights from `at` on, a multiple of 32, as they are stored.
fn packed_load(at: u32) -> Chunk {
    let block = at >> 8u;
    let part = (at >> 5u) & 7u;
    let first = (block << 3u) + ((part >> 1u) << 1u);
    let shift = vec4<u32>((part & 1u) << 2u);
    return Chunk(wide_weights[first] >> shift, wide_weights[first + 1u] >> shift, scale_and_minimum(part, block));
}

// The product of a chunk with as many packed numbers, whose sum is `sum`.
fn packed_dot(chunk: Chunk, v: ptr<function, array<u32, 8>>, sum: i32) -> f32 {
    let a = chunk.low & vec4<u32>(0x0f0f0f0fu);
    let b = chunk.high & vec4<u32>(0x0f0f0f0fu);
    let products = dot4I8Packed(a.x, (*v)[0]) + dot4I8Packed(a.y, (*v)[1]) + dot4I8Packed(a.z, (*v)[2])
        + dot4I8Packed(a.w, (*v)[3]) + dot4I8Packed(b.x, (*v)[4]) + dot4I8Packed(b.y, (*v)[5])
        + dot4I8Packed(b.z, (*v)[6]) + dot4I8Packed(b.w, (*v)[7]);
    return chunk.scale.x * f32(products) - chunk.scale.y * f32(sum);
}
