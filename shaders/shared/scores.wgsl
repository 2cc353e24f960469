// How `attend` multiplies queries with keys, and reads values. Its bindings and shared memory are `attend`'s.

// A number of each head, or of the last one again where there are fewer. Variables of their own, and not an array: not
// every compiler keeps one in registers.
struct Heads { first: vec4<f32>, last: vec4<f32> }

// Of two keys.
struct Pair { a: Heads, b: Heads }

//#if subgroups
// So many threads share a key, that what they read lies together. A subgroup has at least as many.
const SHARING = 4u;
//#else
const SHARING = 1u;
//#end

// Products of four numbers of a key with those of four heads' queries from `head` on.
fn dots(head: u32, at: u32, words: u32, key: vec4<f32>) -> vec4<f32> {
    let most = HEADS - 1u;
    return vec4<f32>(
        dot(query[min(head, most) * words + at], key),
        dot(query[min(head + 1u, most) * words + at], key),
        dot(query[min(head + 2u, most) * words + at], key),
        dot(query[min(head + 3u, most) * words + at], key),
    );
}

// A word of a key. The token's own is not in the cache yet; what is read in its place is not used, nor is what lies past
// the last word.
fn key_word(key: u32, cache_at: u32, at: u32, words: u32) -> vec4<f32> {
    return keys[cache_at + min(key, max(step.position, 1u) - 1u) * words + min(at, words - 1u)];
}

fn if_known(cached: vec4<f32>, key: u32, at: u32, is_past: bool) -> vec4<f32> {
    if (is_past) { return vec4<f32>(); }
    if (key >= step.position) { return new_key[at]; }
    return cached;
}

// Products of two keys with the queries, over every SHARING-th of their words from `first` on.
fn products(a: u32, b: u32, cache_at: u32, first: u32) -> Pair {
    let words = params.head_dim >> 2u;
    var pair = Pair(Heads(vec4<f32>(), vec4<f32>()), Heads(vec4<f32>(), vec4<f32>()));
    // 16 loads at once, the last of them perhaps for nothing: one after the other would wait for memory each time.
    for (var w = first; w < words; w += 8u * SHARING) {
//#repeat i 8
        let a_{i} = key_word(a, cache_at, w + {i}u * SHARING, words);
        let b_{i} = key_word(b, cache_at, w + {i}u * SHARING, words);
//#end
//#repeat i 8
        let past_{i} = w + {i}u * SHARING >= words;
        // Never past the queries' own words: nobody wrote there, and nothing times what is not a number is not nothing.
        let at_{i} = min(w + {i}u * SHARING, words - 1u);
        let of_a_{i} = if_known(a_{i}, a, at_{i}, past_{i});
        let of_b_{i} = if_known(b_{i}, b, at_{i}, past_{i});
        pair.a.first += dots(0u, at_{i}, words, of_a_{i});
        pair.b.first += dots(0u, at_{i}, words, of_b_{i});
        if (HEADS > 4u) {
            pair.a.last += dots(4u, at_{i}, words, of_a_{i});
            pair.b.last += dots(4u, at_{i}, words, of_b_{i});
        }
//#end
    }
    return pair;
}

// What the threads that share a key have, put together, and bent below the cap.
fn scores_of(part: vec4<f32>) -> vec4<f32> {
    var scores = part;
//#if subgroups
    scores += subgroupShuffleXor(scores, 1u);
    scores += subgroupShuffleXor(scores, 2u);
//#end
    let cap = params.softcap;
    if (cap <= 0.0) { return scores; }
    return vec4<f32>(softcap(scores.x, cap), softcap(scores.y, cap), softcap(scores.z, cap), softcap(scores.w, cap));
}

// A word of the token's own value.
fn new_value(kv_head: u32, word: u32) -> vec4<f32> {
    return projected[(params.value_at + kv_head * params.head_dim) / 4u + word];
}

// A word of a key's value.
fn value_of(cache_at: u32, kv_head: u32, key: u32, word: u32) -> vec4<f32> {
    let words = params.head_dim >> 2u;
    let cached = values[cache_at + min(key, max(step.position, 1u) - 1u) * words + word];
    if (key >= step.position) { return new_value(kv_head, word); }
    return cached;
}
