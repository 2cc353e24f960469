// Strips of 16 rows: the buffer holds the tiles of all strips first, 16 columns after the other, then from word
// `params.scales_word` on an F16 scale for each row, two a word. A tile is a ring of 256 BITS bits; weight t = 16 column +
// row of it has the window of 16 bits from bit t BITS on. docs/formats/trellis.md has the rest.

// Which bits of a window count, and which of its product: the model's codebook.
override WINDOW_MASK: u32 = 0xffffu;
override CODE_MASK: u32 = 0x7f7f7f7fu;
const MULTIPLIER = 0x83DCD12Du;
const TILE_WORDS = 8u * BITS;

// What is taken from a sum of four bytes: 254 or 126.
fn trellis_offset() -> f32 {
    return f32(2u * (CODE_MASK & 0xffu));
}

// What multiplies a number besides its row's scale: 2 to the power of -6 or -5.
fn trellis_unit() -> f32 {
    return 2.0 / f32((CODE_MASK & 0xffu) + 1u);
}

// A row's scale.
fn row_scale(row: u32) -> f32 {
    return trellis_unit() * unpack2x16float(weights[params.scales_word + (row >> 1u)])[row & 1u];
}

// The first word of the tile that has a row and a column.
fn trellis_tile(row: u32, column: u32) -> u32 {
    return ((row >> 4u) * (params.columns >> 4u) + (column >> 4u)) * TILE_WORDS;
}

// The sum of the bytes of a window's product, without an instruction for it.
fn trellis_sum(window: u32) -> f32 {
    let code = ((window & WINDOW_MASK) * MULTIPLIER) & CODE_MASK;
    let pairs = (code & 0x00ff00ffu) + ((code >> 8u) & 0x00ff00ffu);
    // In a float's lowest bits a sum needs no conversion.
    return bitcast<f32>(((pairs * 0x10001u) >> 16u) | 0x4b000000u) - 8388608.0;
}

// The number of the weight at a bit of a tile's ring, not yet scaled.
fn trellis_number(tile: u32, bit: u32) -> f32 {
    let word = bit >> 5u;
    let lower = weights[tile + word];
    let upper = weights[tile + select(word + 1u, 0u, word + 1u == TILE_WORDS)];
    let shift = bit & 31u;
    return trellis_sum((lower >> shift) | ((upper << 1u) << (31u - shift))) - trellis_offset();
}

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let row = at / params.columns;
    let column = at - row * params.columns;
    let tile = trellis_tile(row, column);
    let bit = ((column & 15u) * 16u + (row & 15u)) * BITS;
    return row_scale(row) * vec4<f32>(
        trellis_number(tile, bit),
        trellis_number(tile, bit + 16u * BITS),
        trellis_number(tile, bit + 32u * BITS),
        trellis_number(tile, bit + 48u * BITS),
    );
}
