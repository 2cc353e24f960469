// Products of four columns of a strip's 16 rows. Each row's sum is a variable of its own, so that it stays in a register.
//#if int8
//#repeat r 16
var<private> sum_{r}: i32;
//#end
//#else
//#repeat r 16
var<private> sum_{r}: f32;
//#end
//#end

const IN_HALVES = 16u % BITS == 0u;

// The sum of the bytes of a window's product.
//#if narrow
fn window_code(window: u32) -> f32 {
    return trellis_sum(window);
}
//#end
//#if wide
fn window_code(window: u32) -> f32 {
    // In a float's lowest bits a sum needs no conversion.
    let code = ((window & WINDOW_MASK) * MULTIPLIER) & CODE_MASK;
    return bitcast<f32>(dot4U8Packed(code, 0x01010101u) + 0x4b000000u) - 8388608.0;
}
//#end
//#if int8
// Four bytes, whose sum is the number and what is taken from it.
fn window_code(window: u32) -> u32 {
    return ((window & WINDOW_MASK) * MULTIPLIER) & CODE_MASK;
}

// A number of 8 bits four times.
fn splat(value: i32) -> u32 {
    return (bitcast<u32>(value) & 0xffu) * 0x01010101u;
}
//#end

// Adds the products of four columns with what they are multiplied with.
//#if int8
fn add_columns(columns: Columns, values: vec4<u32>) {
//#else
fn add_columns(columns: Columns, values: vec4<f32>) {
//#end
    var words = columns_words(columns);
    // Where windows 16 bits apart are those of two weights, both are halves of one word, which is moved once.
    var moved: array<u32, 64>;
//#repeat c 4
//#repeat r 16
    {
        const T = {c}u * 16u + {r}u;
        const SHIFT = (T * BITS) & 31u;
        const WORD = (T * BITS) >> 5u;
        var window = words[WORD];
        if (IN_HALVES && SHIFT >= 16u) {
            window = moved[(T + 64u - 16u / BITS) & 63u] >> 16u;
        } else if (IN_HALVES && SHIFT > 0u || SHIFT > 16u) {
            window = (window >> SHIFT) | (words[WORD + 1u] << (32u - max(SHIFT, 1u)));
        } else if (SHIFT > 0u) {
            window >>= SHIFT;
        }
        moved[T] = window;
//#if int8
        sum_{r} += dot4I8Packed(window_code(window), values[{c}u]);
//#else
        sum_{r} = fma(window_code(window) - trellis_offset(), values[{c}u], sum_{r});
//#end
    }
//#end
//#end
}
