// The 12 bytes of Q4_K and Q5_K that hold a scale and a minimum of 6 bits for each 32 elements. They stand among the
// scales, behind the block's F16 scale and minimum, so that a block's numbers are whole loads of 16 bytes.

// Those of the `part`-th 32 elements, times the block's F16 scale and minimum.
fn scale_and_minimum(part: u32, block: u32) -> vec2<f32> {
    let at = params.scales_word + (block << 2u);
    return scale_and_minimum_of(vec4<u32>(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]), part);
}

// The same, of all that scales a block.
fn scale_and_minimum_of(scales: vec4<u32>, part: u32) -> vec2<f32> {
    let shift = (part & 3u) * 8u;
    let first = scales.y >> shift;
    let second = scales.z >> shift;
    let third = scales.w >> shift;
    var sixes = vec2<u32>(first & 63u, second & 63u);
    if (part >= 4u) {
        sixes = vec2<u32>((third & 15u) | ((first >> 2u) & 48u), ((third >> 4u) & 15u) | ((second >> 2u) & 48u));
    }
    return unpack2x16float(scales.x) * vec2<f32>(sixes);
}
