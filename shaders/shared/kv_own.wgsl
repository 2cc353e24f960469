// The token's own key and value, which `attend` rounds as the cache does, so that it mixes what later tokens will see. Its
// bindings and shared memory are `attend`'s.

fn kv_source(word: u32) -> vec4<f32> {
    return query[HEADS * (params.head_dim >> 2u) + word];
}

//#import formats/shared/kv_round.wgsl

// A word of the token's own value: the one that this thread mixes of every key.
var<private> own_value: vec4<f32>;

// Multiplies blocks of heads with an orthonormal Hadamard matrix, in place, as `rotate`. All threads together.
fn turn_words(first: u32, count: u32, thread: u32) {
    let block = params.head_dim & (~params.head_dim + 1u);
    let factor = 1.0 / sqrt(f32(block));
    for (var i = thread; i < count; i += THREADS) {
        let x = query[first + i] * factor;
        let a = vec4<f32>(x.x + x.y, x.x - x.y, x.z + x.w, x.z - x.w);
        query[first + i] = vec4<f32>(a.x + a.z, a.y + a.w, a.x - a.z, a.y - a.w);
    }
    workgroupBarrier();
    for (var half = 1u; half < (block >> 2u); half <<= 1u) {
        for (var i = thread; i < (count >> 1u); i += THREADS) {
            let at = first + (((i & ~(half - 1u)) << 1u) | (i & (half - 1u)));
            let sum = query[at] + query[at + half];
            query[at + half] = query[at] - query[at + half];
            query[at] = sum;
        }
        workgroupBarrier();
    }
}

// The value: from the projection through `query` into the cache, and a word of it to each thread.
fn take_value(own_head: u32, cache_at: u32, writes: bool, thread: u32) {
    let words = params.head_dim >> 2u;
    let value_at = (params.value_at >> 2u) + own_head * words;
    own_value = projected[value_at + thread % words];
    if (KV == 0u) {
        if (writes && thread < words) {
            values[cache_at + step.position * words + thread] = bitcast<vec4<u32>>(own_value);
        }
        return;
    }
    if (thread < words) { query[HEADS * words + thread] = own_value; }
    workgroupBarrier();
    if (KV == KV_INT4) { turn_words(HEADS * words, words, thread); }
    own_value = kv_rounded(thread % words, words);
    if (writes && thread < kv_row(words)) {
        values[cache_at + step.position * kv_row(words) + thread] = kv_packed(thread, words);
    }
    if (writes && thread == 0u) {
        // Scales of other positions lie in the same vec4, which this thread alone writes.
        for (var nth = 0u; nth < kv_scale_words(words); nth++) {
            let at = kv_scale_at(cache_at, step.position, nth * 16u, words, params.context);
            var four = values[at >> 2u];
            four[at & 3u] = kv_scales(nth, words);
            values[at >> 2u] = four;
        }
    }
    workgroupBarrier();
}

// The key, and what meets it: from `query` into the cache, and as it will be read from there.
fn take_key(cache_at: u32, writes: bool, thread: u32) {
    let words = params.head_dim >> 2u;
    if (KV == 0u) {
        if (writes && thread < words) { keys[cache_at + step.position * words + thread] = bitcast<vec4<u32>>(kv_source(thread)); }
        return;
    }
    if (KV == KV_INT4) { turn_words(0u, (HEADS + 1u) * words, thread); }
    if (writes && thread < kv_row(words)) {
        keys[cache_at + step.position * kv_row(words) + thread] = kv_packed(thread, words);
    }
    if (writes && thread == 0u) {
        for (var nth = 0u; nth < kv_scale_words(words); nth++) {
            let at = kv_scale_at(cache_at, step.position, nth * 16u, words, params.context);
            var four = keys[at >> 2u];
            four[at & 3u] = kv_scales(nth, words);
            keys[at >> 2u] = four;
        }
    }
    let rounded = kv_rounded(thread % words, words);
    workgroupBarrier();
    if (thread < words) { query[HEADS * words + thread] = rounded; }
    workgroupBarrier();
}
