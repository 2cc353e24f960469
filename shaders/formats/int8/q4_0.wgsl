// Q4_0 times 32 numbers of 8 bits: one load of a block. The numbers are packed in the order in which nibbles come out:
// of eight the even ones, then the odd ones.
//#import formats/shared/int8.wgsl
alias Wide = vec4<u32>;

struct Chunk { words: vec4<u32>, scale: f32 }

fn pack_chunk(v: ptr<function, array<vec4<f32>, 8>>, inverse: f32, packed: ptr<function, array<u32, 8>>) {
    for (var i = 0u; i < 8u; i += 2u) {
        let a = vec4<i32>(round((*v)[i] * inverse));
        let b = vec4<i32>(round((*v)[i + 1u] * inverse));
        (*packed)[i] = pack4xI8(vec4<i32>(a.x, a.z, b.x, b.z));
        (*packed)[i + 1u] = pack4xI8(vec4<i32>(a.y, a.w, b.y, b.w));
    }
}

fn eight_dot(word: u32, even: u32, odd: u32) -> i32 {
    return dot4I8Packed(word & 0x0f0f0f0fu, even) + dot4I8Packed((word >> 4u) & 0x0f0f0f0fu, odd);
}

// 32 weights from `at` on, a multiple of 32, as they are stored.
fn packed_load(at: u32) -> Chunk {
    let block = at >> 5u;
    return Chunk(wide_weights[block], unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u]);
}

// The product of a chunk with as many packed numbers, whose sum is `sum`.
fn packed_dot(chunk: Chunk, v: ptr<function, array<u32, 8>>, sum: i32) -> f32 {
    let words = chunk.words;
    let products = eight_dot(words.x, (*v)[0], (*v)[1]) + eight_dot(words.y, (*v)[2], (*v)[3])
        + eight_dot(words.z, (*v)[4], (*v)[5]) + eight_dot(words.w, (*v)[6], (*v)[7]);
    return chunk.scale * f32(products - 8 * sum);
}
