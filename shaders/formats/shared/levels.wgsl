// Products of 16 columns of a strip's 16 rows: a tile, whose words are its rows. Each row's sum is a variable of its own,
// so that it stays in a register. What is summed up are indices; a level is twice the index less 3.
//#repeat q 4
//#repeat r 4
var<private> sum_{q}{r}: f32;
//#end
//#end
// Of what the thread's columns are multiplied with.
var<private> sum_all: f32;

struct Tile { rows_0: vec4<u32>, rows_1: vec4<u32>, rows_2: vec4<u32>, rows_3: vec4<u32> }

// A row's scale.
fn row_scale(row: u32) -> f32 {
    return unpack2x16float(weights[params.scales_word + (row >> 1u)])[row & 1u];
}

// A tile of the strip that has a row.
fn tile_load(row: u32, tile: u32) -> Tile {
    let at = ((row >> 4u) * (params.columns >> 4u) + tile) * 4u;
    return Tile(wide_weights[at], wide_weights[at + 1u], wide_weights[at + 2u], wide_weights[at + 3u]);
}

//#if int8
// The sum of a row's indices times numbers of 8 bits, four a word: the bytes of a word that is moved by 2 j are the
// indices of columns 4 j to 4 j + 3.
fn row_dot(word: u32, quants: vec4<u32>) -> f32 {
    // In a float's lowest bits a sum needs no conversion.
    var sum = 0x4b400000i;
    sum += dot4I8Packed(word & 0x03030303u, quants.x);
    sum += dot4I8Packed((word >> 2u) & 0x03030303u, quants.y);
    sum += dot4I8Packed((word >> 4u) & 0x03030303u, quants.z);
    sum += dot4I8Packed((word >> 6u) & 0x03030303u, quants.w);
    return bitcast<f32>(sum) - 12582912.0;
}

// Adds the products with 16 numbers, four a vector, rounded so that their greatest is 127.
fn add_tile(tile: Tile, values: mat4x4<f32>) {
    let most4 = max(max(abs(values[0]), abs(values[1])), max(abs(values[2]), abs(values[3])));
    let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
    // The quotient of the least numbers would pass what F32 holds; what it is does not matter then.
    let inverse = select(0.0, 127.0 / most, most > 1e-30);
    let scale = most / 127.0;
    let quants = vec4<u32>(
        pack4xI8(vec4<i32>(round(values[0] * inverse))), pack4xI8(vec4<i32>(round(values[1] * inverse))),
        pack4xI8(vec4<i32>(round(values[2] * inverse))), pack4xI8(vec4<i32>(round(values[3] * inverse))),
    );
    let all = dot4I8Packed(quants.x, 0x01010101u) + dot4I8Packed(quants.y, 0x01010101u)
        + dot4I8Packed(quants.z, 0x01010101u) + dot4I8Packed(quants.w, 0x01010101u);
    sum_all += scale * f32(all);
//#repeat q 4
//#repeat r 4
    sum_{q}{r} += scale * row_dot(tile.rows_{q}[{r}], quants);
//#end
//#end
}
//#else
// What lies in place of four indices that are two bits apart, as floats: under the bits of 2^23 an integer makes the float
// 2^23 + integer, from which 2^23 is taken exactly. So the indices come out times 1, 4, 16 and 64, those of a second
// byte times 256, and what they are multiplied with is divided by that before, which is exact too.
fn in_place(word: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>((vec4<u32>(word) & vec4<u32>(0x3u, 0xcu, 0x30u, 0xc0u)) | vec4<u32>(0x4b000000u)) - 8388608.0;
}

fn in_second_place(word: u32) -> vec4<f32> {
    let bits = vec4<u32>(word) & vec4<u32>(0x300u, 0xc00u, 0x3000u, 0xc000u);
    return bitcast<vec4<f32>>(bits | vec4<u32>(0x4b000000u)) - 8388608.0;
}

// The sum of a row's indices times numbers, of which a vector has those of a byte of the row's word.
fn row_dot(word: u32, values: mat4x4<f32>) -> f32 {
    return dot(in_place(word), values[0]) + dot(in_second_place(word), values[1])
        + dot(in_place(word >> 16u), values[2]) + dot(in_second_place(word >> 16u), values[3]);
}

// Adds the products with 16 numbers, four a vector.
fn add_tile(tile: Tile, values: mat4x4<f32>) {
    sum_all += dot(values[0] + values[1] + values[2] + values[3], vec4<f32>(1.0));
    let turned = transpose(values);
    let places = vec4<f32>(1.0, 0.25, 0.0625, 0.015625);
    let scaled = mat4x4<f32>(
        turned[0] * places, turned[1] * places / 256.0, turned[2] * places, turned[3] * places / 256.0,
    );
//#repeat q 4
//#repeat r 4
    sum_{q}{r} += row_dot(tile.rows_{q}[{r}], scaled);
//#end
//#end
}
//#end
