// How a row is rounded on its way into a cache. Whoever imports this has `kv_source(word)`, four of the row's numbers.
//#import formats/shared/kv_cache.wgsl

// What stands for a scale of numbers that are no numbers, or infinite: they must not look sound when they are read.
const KV_NOT_FINITE = 0x7fc00000u;

// The upper half of the least scale with which no number of a block passes what is stored, or about that. What is no
// number is greatest as a whole number.
fn kv_scale(block: u32, words: u32) -> u32 {
    var largest = 0u;
    for (var word = block * 8u; word < min(block * 8u + 8u, words); word++) {
        let bits = bitcast<vec4<u32>>(kv_source(word)) & vec4<u32>(0x7fffffffu);
        largest = max(largest, max(max(bits.x, bits.y), max(bits.z, bits.w)));
    }
    if (largest >= 0x7f800000u) { return KV_NOT_FINITE; }
    let scale = bitcast<f32>(largest) * select(1.0 / 127.0, 1.0 / 7.0, KV == KV_INT4);
    if (scale < 1.0e-30) { return 0u; }
    return (bitcast<u32>(scale) + 0xffffu) & 0xffff0000u;
}

fn kv_inverse(scale: u32) -> f32 {
    if (scale == 0u || scale == KV_NOT_FINITE) { return 0.0; }
    return 1.0 / bitcast<f32>(scale);
}

// Four numbers in steps of their scale: the nearest, or else the even.
fn kv_steps(word: u32, words: u32, inverse: f32) -> vec4<i32> {
    if (word >= words) { return vec4<i32>(); }
    return vec4<i32>(round(kv_source(word) * inverse));
}

fn kv_bytes(steps: vec4<i32>) -> u32 {
    let bytes = (vec4<u32>(steps) & vec4<u32>(255u)) << vec4<u32>(0u, 8u, 16u, 24u);
    return bytes.x | bytes.y | bytes.z | bytes.w;
}

// The nth vec4 of a row, as it is stored.
fn kv_packed(nth: u32, words: u32) -> vec4<u32> {
    var packed = vec4<u32>();
    if (KV == KV_INT8) {
        let inverse = kv_inverse(kv_scale(nth >> 1u, words));
        for (var i = 0u; i < 4u; i++) { packed[i] = kv_bytes(kv_steps(nth * 4u + i, words, inverse)); }
    } else {
        let inverse = kv_inverse(kv_scale(nth, words));
        for (var i = 0u; i < 4u; i++) {
            let lower = kv_steps(nth * 8u + i, words, inverse) + vec4<i32>(8);
            let upper = kv_steps(nth * 8u + 4u + i, words, inverse) + vec4<i32>(8);
            packed[i] = kv_bytes((lower & vec4<i32>(15)) | ((upper & vec4<i32>(15)) << vec4<u32>(4u)));
        }
    }
    return packed;
}

// The nth word of a row's scales.
fn kv_scales(nth: u32, words: u32) -> u32 {
    return (kv_scale(2u * nth, words) >> 16u) | kv_scale(2u * nth + 1u, words);
}

// Four numbers as they will be read.
fn kv_rounded(word: u32, words: u32) -> vec4<f32> {
    let scale = kv_scale(word >> 3u, words);
    return vec4<f32>(kv_steps(word, words, kv_inverse(scale))) * bitcast<f32>(scale);
}
