// LEVELS2: strips of 16 rows. The buffer holds the tiles of all strips first, 16 columns after the other, then from word
// `params.scales_word` on an F16 scale for each row, two a word. A tile is a word for each row; bits 8 b + 2 j and
// 8 b + 2 j + 1 of it are the index i of column 4 j + b, which stands for 2 i - 3. docs/formats/levels2.md has the rest.

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let row = at / params.columns;
    let column = at - row * params.columns;
    let tile = ((row >> 4u) * (params.columns >> 4u) + (column >> 4u)) * 16u;
    let word = weights[tile + (row & 15u)] >> ((column & 12u) >> 1u);
    let indices = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(3u);
    let scale = unpack2x16float(weights[params.scales_word + (row >> 1u)])[row & 1u];
    return scale * (2.0 * vec4<f32>(indices) - 3.0);
}
