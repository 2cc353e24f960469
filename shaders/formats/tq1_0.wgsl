// TQ1_0: blocks of 256 elements that are -1, 0 or 1, five base-3 digits to a byte. The buffer holds 13 words of digits
// of all blocks first, then from word `params.scales_word` on all F16 scales, two a word.
//#import formats/shared/scale.wgsl

// 1, 3, 9 and 27, a byte each.
const POWERS = 0x1b090301u;

// Four elements from `at` on, a multiple of 4.
fn weights4(at: u32) -> vec4<f32> {
    let block = at >> 8u;
    let element = at & 255u;
    var word = (element >> 2u) & 7u;
    var digit = element >> 5u;
    if (element >= 240u) {
        word = 12u;
        digit = (element - 240u) >> 2u;
    } else if (element >= 160u) {
        word = 8u + ((element >> 2u) & 3u);
        digit = (element - 160u) >> 4u;
    }
    // Bytes are fractions of 256: multiplying brings the digit to the front.
    let power = select((POWERS >> (digit * 8u)) & 255u, 81u, digit == 4u);
    let fractions = (unpack4xU8(weights[block * 13u + word]) * power) & vec4<u32>(255u);
    return block_scale(block) * (vec4<f32>((fractions * 3u) >> vec4<u32>(8u)) - 1.0);
}
