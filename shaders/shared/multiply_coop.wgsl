// The multiply step of `matmul_coop`, in cooperative matrices of 16 by 16: all that names them stands here, so that
// another spelling of the same thing is another file. A subgroup of 32 threads has 32 tokens and 64 rows.
alias Sums = array<coop_mat16x16<f32, C>, 8>;   // (TOKEN_TILES, ROW_TILES)
const TOKEN_TILES = 2u;
const ROW_TILES = 4u;

// sums += x * weights, over the columns in the tiles, from a place of each on.
fn multiply(sums: ptr<function, Sums>, x_at: u32, weights_at: u32) {
    for (var word = 0u; word < WORDS; word += 4u) {
        var rows: array<coop_mat16x16<f16, B>, 4>;
        for (var j = 0u; j < ROW_TILES; j++) {
            rows[j] = coopLoad<coop_mat16x16<f16, B>>(&weights_tile[weights_at + j * 16u * LINE + word], LINE);
        }
        for (var i = 0u; i < TOKEN_TILES; i++) {
            let tokens = coopLoadT<coop_mat16x16<f16, A>>(&x_tile[x_at + i * 16u * LINE + word], LINE);
            for (var j = 0u; j < ROW_TILES; j++) {
                (*sums)[i * ROW_TILES + j] = coopMultiplyAdd(tokens, rows[j], (*sums)[i * ROW_TILES + j]);
            }
        }
    }
}

// Puts one of the sums where threads can read it: (16 tokens, 16 rows).
fn show(sums: ptr<function, Sums>, index: u32, at: u32) {
    let sum = (*sums)[index];
    coopStoreT(sum, &shown[at], 16u);
}
