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

// The token's own key and value are not in the caches yet: in their place others are read, and not used.
fn cached_position(key: u32) -> u32 {
    return min(key, max(step.position, 1u) - 1u);
}

// A word of a key. The token's own is not in the cache yet; what is read in its place is not used, nor is what lies past
// the last word.
fn key_word(key: u32, cache_at: u32, at: u32, words: u32) -> vec4<f32> {
    return cached_key(cache_at, cached_position(key), min(at, words - 1u), words, params.context);
}

fn if_known(cached: vec4<f32>, key: u32, at: u32, is_past: bool) -> vec4<f32> {
    if (is_past) { return vec4<f32>(); }
    if (key >= step.position) { return query[HEADS * (params.head_dim >> 2u) + at]; }
    return cached;
}

// Products of two keys with the queries, over every SHARING-th of their words from `first` on.
fn products(a: u32, b: u32, cache_at: u32, first: u32) -> Pair {
    if (KV != 0u) { return packed_products(a, b, cache_at, first); }
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

// The same of packed keys, a vec4 of words at a time: with its products with four or eight words of the queries.
fn packed_products(a: u32, b: u32, cache_at: u32, first: u32) -> Pair {
    let words = params.head_dim >> 2u;
    let row = kv_row(words);
    let each = select(4u, 8u, KV == KV_INT4);
    let a_at = cached_position(a);
    let b_at = cached_position(b);
    var pair = Pair(Heads(vec4<f32>(), vec4<f32>()), Heads(vec4<f32>(), vec4<f32>()));
    for (var at = first; at < row; at += 2u * SHARING) {
//#repeat n 2
        let at_{n} = min(at + {n}u * SHARING, row - 1u);
        let a_scale_at_{n} = kv_scale_at(cache_at, a_at, at_{n} * each, words, params.context);
        let b_scale_at_{n} = kv_scale_at(cache_at, b_at, at_{n} * each, words, params.context);
        let a_{n} = keys[cache_at + a_at * row + at_{n}];
        let b_{n} = keys[cache_at + b_at * row + at_{n}];
        let a_scales_{n} = keys[a_scale_at_{n} >> 2u][a_scale_at_{n} & 3u];
        let b_scales_{n} = keys[b_scale_at_{n} >> 2u][b_scale_at_{n} & 3u];
//#end
//#repeat n 2
        if (at + {n}u * SHARING < row) {
            pair.a = add_packed(pair.a, at_{n} * each, words, a_{n}, a_scales_{n}, a);
            pair.b = add_packed(pair.b, at_{n} * each, words, b_{n}, b_scales_{n}, b);
        }
//#end
    }
    return pair;
}

// Adds the products of a vec4 of words with the queries' words from `first` on.
fn add_packed(before: Heads, first: u32, words: u32, four: vec4<u32>, scales: u32, key: u32) -> Heads {
    var sum = before;
//#repeat i 8
    if (KV == KV_INT4 || {i}u < 4u) {
        let at = min(first + {i}u, words - 1u);
        let numbers = if_known(kv_numbers(four[{i}u & 3u], scales, first + {i}u), key, at, first + {i}u >= words);
        sum.first += dots(0u, at, words, numbers);
        if (HEADS > 4u) { sum.last += dots(4u, at, words, numbers); }
    }
//#end
    return sum;
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

// A word of a key's value: of every key the same, that of `own_value`.
fn value_of(cache_at: u32, key: u32, word: u32) -> vec4<f32> {
    let cached = cached_value(cache_at, cached_position(key), word, params.head_dim >> 2u, params.context);
    if (key >= step.position) { return own_value; }
    return cached;
}
