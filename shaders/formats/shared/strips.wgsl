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
//#repeat c 4
//#repeat r 16
    {
        const BIT = ({c}u * 16u + {r}u) * BITS;
        const SHIFT = BIT & 31u;
        let window = (words[BIT >> 5u] >> SHIFT) | ((words[(BIT >> 5u) + 1u] << 1u) << (31u - SHIFT));
//#if int8
        sum_{r} += dot4I8Packed(window_code(window), values[{c}u]);
//#else
        sum_{r} = fma(window_code(window) - trellis_offset(), values[{c}u], sum_{r});
//#end
    }
//#end
//#end
}
