// How keys and values lie in their caches: the one place among shaders that knows, as engine/src/kernel/kv_cache.rs does
// among twins. A key head's part has the numbers of all positions, each row from a vec4 on, and behind them the scales of
// all positions, two to a word, one for 32 numbers. `words` are a head's words of four numbers.
override KV: u32 = 0u;      // 0: F32
const KV_INT8 = 1u;
const KV_INT4 = 2u;

// vec4s of a position's numbers.
fn kv_row(words: u32) -> u32 {
    if (KV == KV_INT8) { return (words + 3u) >> 2u; }
    if (KV == KV_INT4) { return (words + 7u) >> 3u; }
    return words;
}

// Words of a position's scales.
fn kv_scale_words(words: u32) -> u32 {
    return (words + 15u) >> 4u;
}

// vec4s of a key head's part.
fn kv_head(words: u32, context: u32) -> u32 {
    if (KV == 0u) { return context * words; }
    return context * kv_row(words) + ((context * kv_scale_words(words) + 3u) >> 2u);
}

// Where the word with four numbers of a position lies; `head_at` is where the head's part begins, in vec4s.
fn kv_word_at(head_at: u32, position: u32, word: u32, words: u32) -> u32 {
    let row = (head_at + position * kv_row(words)) << 2u;
    // In four bits eight words share four: the first half of a block has the lower nibbles, the other the upper ones.
    if (KV == KV_INT4) { return row + ((word >> 3u) << 2u) + (word & 3u); }
    return row + word;
}

// Where their scale lies.
fn kv_scale_at(head_at: u32, position: u32, word: u32, words: u32, context: u32) -> u32 {
    return ((head_at + context * kv_row(words)) << 2u) + position * kv_scale_words(words) + (word >> 4u);
}

// The four numbers, from the words of both.
fn kv_numbers(four: u32, scales: u32, word: u32) -> vec4<f32> {
    let scale = bitcast<f32>(select(scales << 16u, scales & 0xffff0000u, (word & 8u) != 0u));
    if (KV == KV_INT8) {
        return vec4<f32>((vec4<i32>(i32(four)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)) * scale;
    }
    let nibbles = (vec4<u32>(four) >> (vec4<u32>(0u, 8u, 16u, 24u) + vec4<u32>(word & 4u))) & vec4<u32>(15u);
    return (vec4<f32>(nibbles) - vec4<f32>(8.0)) * scale;
}
