// The multiply steps of `attention_coop`, in cooperative matrices of 16 by 16: all that names them stands here. A subgroup
// of 32 threads has 16 tokens; a head has up to eight times 16 columns, each a variable of its own, since a compiler does
// not keep such matrices apart in an array.
//#repeat n 8
var<private> taken_{n}: coop_mat16x16<f16, A>;      // queries
var<private> mixed_{n}: coop_mat16x16<f32, C>;
//#end

// A subgroup's queries, from the tile.
fn take_queries(first: u32) {
//#repeat n 8
    mixed_{n} = coop_mat16x16<f32, C>();
    if (HEAD_TILES > {n}u) { taken_{n} = coopLoadT<coop_mat16x16<f16, A>>(&tile[first + {n}u * 4u], LINE); }
//#end
}

// Scores of a subgroup's tokens with the keys in the tile: (16 tokens, KEYS).
fn score(first: u32) {
    for (var j = 0u; j < KEYS / 16u; j++) {
        var sum = coop_mat16x16<f32, C>();
        let at = j * 16u * LINE;
//#repeat n 8
        if (HEAD_TILES > {n}u) {
            sum = coopMultiplyAdd(taken_{n}, coopLoad<coop_mat16x16<f16, B>>(&tile[at + {n}u * 4u], LINE), sum);
        }
//#end
        let total = sum;
        coopStoreT(total, &scores[first + j * 4u], SCORES_LINE);
    }
}

// Adds the values in the tile, in a subgroup's shares.
fn mix(first: u32) {
    for (var j = 0u; j < KEYS / 16u; j++) {
        let share = coopLoadT<coop_mat16x16<f16, A>>(&shares[first + j * 4u], SHARES_LINE);
        let at = j * 16u * LINE;
//#repeat n 8
        if (HEAD_TILES > {n}u) {
            mixed_{n} = coopMultiplyAdd(share, coopLoadT<coop_mat16x16<f16, B>>(&tile[at + {n}u * 4u], LINE), mixed_{n});
        }
//#end
    }
}

// Puts 16 columns of what was mixed where threads can read it.
fn show(n: u32, first: u32) {
//#repeat n 8
    if (HEAD_TILES > {n}u && n == {n}u) {
        let columns = mixed_{n};
        coopStoreT(columns, &scores[first], SCORES_LINE);
    }
//#end
}
