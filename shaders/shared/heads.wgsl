// What `attend` does to queries and keys before they meet: norms and turns. Its bindings and shared memory are `attend`'s.

fn pool_at(at: u32) -> f32 {
    return pool[at >> 2u][at & 3u];
}

// The sum of squares of every head in the pool; all threads together.
fn head_factors(thread: u32) {
    for (var four = 0u; four <= HEADS; four += 4u) {
        var squares = vec4<f32>();
        for (var i = 0u; i < 4u && four + i <= HEADS; i++) {
            for (var at = thread; at < params.head_dim; at += THREADS) {
                let value = pool_at((four + i) * params.head_dim + at);
                squares[i] += value * value;
            }
        }
        let sums = workgroup_sum4(squares, thread);
        if (thread == 0u) {
            factors[four >> 2u] = inverseSqrt(sums / f32(params.head_dim) + vec4<f32>(params.epsilon));
        }
    }
}

fn width_factors(thread: u32) {
    let query_width = params.heads * params.head_dim;
    let key_width = params.kv_heads * params.head_dim;
    var squares = vec4<f32>();
    for (var word = thread; word < (query_width >> 2u); word += THREADS) {
        let four = projected[(params.query_at >> 2u) + word];
        squares.x += dot(four, four);
    }
    for (var word = thread; word < (key_width >> 2u); word += THREADS) {
        let four = projected[(params.key_at >> 2u) + word];
        squares.y += dot(four, four);
    }
    let sums = workgroup_sum4(squares, thread);
    if (thread == 0u) {
        let of_queries = inverseSqrt(sums.x / f32(query_width) + params.epsilon);
        let of_keys = inverseSqrt(sums.y / f32(key_width) + params.epsilon);
        for (var head = 0u; head <= HEADS; head++) {
            factors[head >> 2u][head & 3u] = select(of_queries, of_keys, head == HEADS);
        }
    }
}

// The `at`-th number of a head in the pool, turned by the token's position.
fn turned(head: u32, at: u32) -> f32 {
    let start = head * params.head_dim;
    if (at >= params.rotary) { return pool_at(start + at); }
    let pairs = params.rotary >> 1u;
    var pair = at % pairs;
    var is_second = at >= pairs;
    var first = start + pair;
    var second = first + pairs;
    if (params.interleaved == 1u) {
        pair = at >> 1u;
        is_second = (at & 1u) == 1u;
        first = start + 2u * pair;
        second = first + 1u;
    }
    let turn = table[step.position * pairs + pair];
    let a = pool_at(first);
    let b = pool_at(second);
    if (is_second) { return a * turn.y + b * turn.x; }
    return a * turn.x - b * turn.y;
}

// The queries and the new key: from the projection, through norm and turn, into `query`.
fn prepare(first_head: u32, kv_head: u32, thread: u32) {
    let words = params.head_dim >> 2u;
    let count = HEADS * words;
    let query_at = (params.query_at >> 2u) + first_head * words;
    let key_at = (params.key_at >> 2u) + kv_head * words;
    for (var at = thread; at < count + words; at += THREADS) {
        pool[at] = projected[select(key_at + at - count, query_at + at, at < count)];
    }
    workgroupBarrier();
    if (NORM != 0u) {
        if (NORM == BY_HEAD) { head_factors(thread); } else { width_factors(thread); }
        workgroupBarrier();
        let whole = NORM == BY_WIDTH;
        for (var word = thread; word < count + words; word += THREADS) {
            let head = word / words;
            let factor = factors[head >> 2u][head & 3u];
            if (head < HEADS) {
                let at = 4u * select(word % words, first_head * words + word, whole);
                pool[word] *= factor * vec4<f32>(query_norm[at], query_norm[at + 1u], query_norm[at + 2u], query_norm[at + 3u]);
            } else {
                let at = 4u * (word % words + select(0u, kv_head * words, whole));
                pool[word] *= factor * vec4<f32>(key_norm[at], key_norm[at + 1u], key_norm[at + 2u], key_norm[at + 3u]);
            }
        }
        workgroupBarrier();
    }
    for (var word = thread; word < (HEADS + 1u) * words; word += THREADS) {
        let head = word / words;
        let at = (word % words) * 4u;
        let four = vec4<f32>(turned(head, at), turned(head, at + 1u), turned(head, at + 2u), turned(head, at + 3u));
        query[word] = four * select(1.0, params.scale, head < HEADS);
    }
    workgroupBarrier();
}
