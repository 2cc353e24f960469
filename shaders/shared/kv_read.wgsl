// Four numbers of a key or a value in the caches `keys` and `values`, arrays of vec4<u32> that whoever imports this binds.
//#import formats/shared/kv_cache.wgsl

fn cached_key(head_at: u32, position: u32, word: u32, words: u32, context: u32) -> vec4<f32> {
    if (KV == 0u) { return bitcast<vec4<f32>>(keys[head_at + position * words + word]); }
    let at = kv_word_at(head_at, position, word, words);
    let scale_at = kv_scale_at(head_at, position, word, words, context);
    return kv_numbers(keys[at >> 2u][at & 3u], keys[scale_at >> 2u][scale_at & 3u], word);
}

fn cached_value(head_at: u32, position: u32, word: u32, words: u32, context: u32) -> vec4<f32> {
    if (KV == 0u) { return bitcast<vec4<f32>>(values[head_at + position * words + word]); }
    let at = kv_word_at(head_at, position, word, words);
    let scale_at = kv_scale_at(head_at, position, word, words, context);
    return kv_numbers(values[at >> 2u][at & 3u], values[scale_at >> 2u][scale_at & 3u], word);
}
