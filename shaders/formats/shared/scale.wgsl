// F16 scales of 2 bytes, one for each block of so many elements; two a word.
fn block_scale(block: u32) -> f32 {
    return unpack2x16float(weights[params.scales_word + (block >> 1u)])[block & 1u];
}
