// Numbers as bits, so that no compiler's idea of a number that is none gets in between.

// Grows with the number that the bits stand for; both zeros are the same, and what is no number is above all.
fn order_of(bits: u32) -> u32 {
    if ((bits & 2147483647u) > 2139095040u) { return NOT_A_NUMBER; }
    if (bits == 2147483648u) { return bits; }
    if (bits > 2147483648u) { return ~bits; }
    return bits | 2147483648u;
}

const NOT_A_NUMBER = 4294967295u;
