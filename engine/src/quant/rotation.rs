//! Rotations that spread a matrix's outliers before it is quantised (QuaRot, Ashkboos et al. 2024): random signs, and
//! then Hadamard matrices of a power of two, one for each block of numbers.
//!
//! `rotate(x) = H (signs * x)` with an orthonormal H, so that `unrotate(x) = signs * (H x)` undoes it. The quantizer folds
//! rotations into weights; what it cannot fold a plan does, with the kernel of the same name.

/// Blocks that the input of a feed-forward layer's last matrix may be rotated in; 0: it is not.
pub const DOWN_BLOCKS: [u32; 4] = [0, 32, 64, 128];

/// What was rotated in a model's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Of the [signs] of the residual stream.
    pub seed: u64,
    /// Whether the residual stream is rotated, with [signs] and in blocks of [`block_of`] its width.
    pub residual: bool,
    /// Whether values are rotated, each head by a Hadamard matrix without signs.
    pub values: bool,
    /// One of [`DOWN_BLOCKS`]: the last matrix of a feed-forward layer expects its input rotated in such blocks, without
    /// signs.
    pub down_block: u32,
}

/// No block is larger: so many numbers fit the shared memory of every GPU's workgroups.
pub const BLOCK_MAX: u32 = 4096;

/// The largest power of two that divides a width and is no more than [`BLOCK_MAX`].
pub const fn block_of(columns: u32) -> u32 {
    let block = 1 << (columns | BLOCK_MAX).trailing_zeros();
    if columns == 0 { 1 } else { block }
}

/// The signs of a stream of so many numbers: each 1 or -1, the bits of SplitMix64 (Steele, Lea and Flood 2014) from the
/// seed on, the lowest first, 64 of each number; a bit that is set is -1.
pub fn signs(seed: u64, columns: usize) -> Vec<f32> {
    let mut state = seed;
    let mut signs = Vec::with_capacity(columns);
    while signs.len() < columns {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let left = columns - signs.len();
        signs.extend((0..left.min(64)).map(|bit| if bits >> bit & 1 == 1 { -1.0 } else { 1.0 }));
    }
    signs
}

/// Multiplies each `block` of numbers, a power of two, with the orthonormal Hadamard matrix in Sylvester's order. It is
/// its own inverse.
pub fn hadamard(x: &mut [f32], block: usize) {
    for x in x.chunks_exact_mut(block.max(1)) {
        let mut half = 1;
        while half < x.len() {
            for pair in x.chunks_exact_mut(2 * half) {
                let (first, second) = pair.split_at_mut(half);
                for (a, b) in first.iter_mut().zip(second) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        let scale = 1.0 / (x.len() as f32).sqrt();
        x.iter_mut().for_each(|value| *value *= scale);
    }
}

/// `H (signs * x)`, in blocks.
pub fn rotate(x: &mut [f32], signs: &[f32], block: usize) {
    x.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
    hadamard(x, block);
}

/// `signs * (H x)`, in blocks: what undoes [`rotate`].
pub fn unrotate(x: &mut [f32], signs: &[f32], block: usize) {
    hadamard(x, block);
    x.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrotating_undoes_a_rotation_and_keeps_lengths() {
        for columns in [1_u32, 8, 48, 288, 576] {
            let block = block_of(columns) as usize;
            let before: Vec<f32> = (0..columns).map(|index| (index as f32 * 0.7).sin()).collect();
            let signs = signs(7, columns as usize);
            let mut x = before.clone();
            rotate(&mut x, &signs, block);
            let squares = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>();
            assert!((squares(&x) / squares(&before).max(1e-9) - 1.0).abs() < 1e-5 || columns == 1);
            assert!(columns == 1 || x != before);
            unrotate(&mut x, &signs, block);
            assert!(x.iter().zip(&before).all(|(x, before)| (x - before).abs() < 1e-5), "{columns}");
        }
    }

    #[test]
    fn hadamard_matrices_are_sylvesters() {
        for (row, block) in [(3_usize, 8_usize), (5, 8), (31, 32)] {
            let mut x = vec![0.0; block];
            x[row] = 1.0;
            hadamard(&mut x, block);
            for (column, x) in x.iter().enumerate() {
                let sign = if (row & column).count_ones() % 2 == 0 { 1.0 } else { -1.0 };
                assert!((x - sign / (block as f32).sqrt()).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn signs_follow_from_the_seed() {
        // SplitMix64 from 0 begins with 0xe220a8397b1dcdaf.
        let found = signs(0, 64).iter().enumerate().fold(0_u64, |bits, (at, sign)| bits | u64::from(*sign < 0.0) << at);
        assert_eq!(found, 0xe220_a839_7b1d_cdaf);
        assert_ne!(signs(1, 64), signs(0, 64));
        assert_eq!(signs(5, 100)[..70], signs(5, 70)[..]);
    }
}
