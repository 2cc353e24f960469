// The multiply step of `matmul_coop`, in cooperative matrices of 16 by 16: all that names them stands here, so that
// another spelling of the same thing is another file. Sums are variables of their own, since a compiler does not keep
// such matrices apart in an array.
//#repeat i 4
//#repeat j 4
var<private> sum_{i}_{j}: coop_mat16x16<f32, C>;    // 16 tokens and 16 rows
//#end
//#end

fn begin() {
//#repeat i 4
//#repeat j 4
    sum_{i}_{j} = coop_mat16x16<f32, C>();
//#end
//#end
}

// sums += x * weights, over 16 columns, from a place of each tile on.
fn multiply16(x_at: u32, weights_at: u32) {
//#repeat j 4
    var rows_{j}: coop_mat16x16<f16, B>;
    if (ROW_TILES > {j}u) { rows_{j} = coopLoad<coop_mat16x16<f16, B>>(&weights_tile[weights_at + {j}u * 16u * LINE], LINE); }
//#end
//#repeat i 4
    if (TOKEN_TILES > {i}u) {
        let tokens = coopLoadT<coop_mat16x16<f16, A>>(&x_tile[x_at + {i}u * 16u * LINE], LINE);
//#repeat j 4
        if (ROW_TILES > {j}u) { sum_{i}_{j} = coopMultiplyAdd(tokens, rows_{j}, sum_{i}_{j}); }
//#end
    }
//#end
}

// Puts sums where threads can read them: (16 tokens, 16 rows).
//#repeat i 4
//#repeat j 4
fn show_{i}_{j}(at: u32) {
    let sum = sum_{i}_{j};
    coopStoreT(sum, &shown[at], 16u);
}
//#end
//#end
