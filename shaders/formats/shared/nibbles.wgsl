// Blocks of 16 bytes whose low nibbles are the first 16 elements and whose high nibbles are the others.

// Four nibbles from element `at` of the block on, whose bytes begin at `word`.
fn nibbles4(word: u32, at: u32) -> vec4<u32> {
    return unpack4xU8((weights[word + ((at >> 2u) & 3u)] >> ((at >> 2u) & 4u)) & 0x0f0f0f0fu);
}
