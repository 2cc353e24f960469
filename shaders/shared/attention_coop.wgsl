// The multiply steps of `attention_coop`, in cooperative matrices of 16 by 16: all that names them stands here. A subgroup
// of 32 threads has 16 tokens.
alias Queries = array<coop_mat16x16<f16, A>, 8>;    // 16 columns of a head each
alias Mixed = array<coop_mat16x16<f32, C>, 8>;

// A subgroup's queries, from the tile.
fn take_queries(taken: ptr<function, Queries>, first: u32) {
    for (var n = 0u; n < HEAD_TILES; n++) {
        (*taken)[n] = coopLoadT<coop_mat16x16<f16, A>>(&tile[first + n * 4u], LINE);
    }
}

// Scores of a subgroup's tokens with the keys in the tile: (16 tokens, KEYS).
fn score(taken: ptr<function, Queries>, first: u32) {
    for (var j = 0u; j < KEYS / 16u; j++) {
        var sum = coop_mat16x16<f32, C>();
        for (var n = 0u; n < HEAD_TILES; n++) {
            let key = coopLoad<coop_mat16x16<f16, B>>(&tile[j * 16u * LINE + n * 4u], LINE);
            sum = coopMultiplyAdd((*taken)[n], key, sum);
        }
        coopStoreT(sum, &scores[first + j * 4u], SCORES_LINE);
    }
}

// Adds the values in the tile, in a subgroup's shares.
fn mix(mixed: ptr<function, Mixed>, first: u32) {
    for (var j = 0u; j < KEYS / 16u; j++) {
        let share = coopLoadT<coop_mat16x16<f16, A>>(&shares[first + j * 4u], SHARES_LINE);
        for (var n = 0u; n < HEAD_TILES; n++) {
            let value = coopLoadT<coop_mat16x16<f16, B>>(&tile[j * 16u * LINE + n * 4u], LINE);
            (*mixed)[n] = coopMultiplyAdd(share, value, (*mixed)[n]);
        }
    }
}

// Puts 16 columns of what was mixed where threads can read it.
fn show(mixed: ptr<function, Mixed>, n: u32, first: u32) {
    let columns = (*mixed)[n];
    coopStoreT(columns, &scores[first], SCORES_LINE);
}
