// What the nibbles of IQ4_NL and IQ4_XS stand for, four signed bytes a word. Figures from ggml-common.h of llama.cpp
// (MIT).
const VALUES = vec4<u32>(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);

fn value_of(nibble: u32) -> f32 {
    return f32(extractBits(bitcast<i32>(VALUES[nibble >> 2u]), (nibble & 3u) * 8u, 8u));
}

fn values_of(nibbles: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(value_of(nibbles.x), value_of(nibbles.y), value_of(nibbles.z), value_of(nibbles.w));
}
