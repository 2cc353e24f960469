//! How the numbers of keys and values lie in a cache, and how they are rounded on their way in.
//! `shaders/formats/shared/kv_cache.wgsl`
//! and `shaders/formats/shared/kv_round.wgsl` say the same.
//!
//! A key head has a part of its own: first the numbers of all positions, a row each that begins on 16 bytes, then the
//! scales of all positions. 32 numbers share a scale, which is the upper half of a binary32, so that every device rounds it
//! alike; two scales make a word, the first in its lower half.
//!
//! - `F32`: numbers as they are, and no scales.
//! - `Int8`: bytes from -127 to 127, in order.
//! - `Int4`: nibbles from -7 to 7, with 8 added; of 32 numbers the first 16 are the lower nibbles of 16 bytes, the others the
//!   upper ones. Rows are rotated before: see [`crate::kernel::Rotate`].

use crate::tensor::KvFormat;

/// Numbers that share a scale.
pub const KV_BLOCK: usize = 32;

/// Adding it to a number of at most 2^22 leaves a float no bits for fractions: it rounds to the nearest, or else the even.
const ROUND: f32 = 12_582_912.0;

/// What stands for a scale of numbers that are no numbers, or infinite: they must not look sound when they are read.
const NOT_FINITE: u32 = 0x7fc0_0000;

/// Below it a block counts as zeros: its inverse would not be finite on every device.
const SCALE_MIN: f32 = 1e-30;

/// Where things lie in the part of a key head, in words of 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLayout {
    /// How numbers are stored.
    pub format: KvFormat,
    /// Numbers of a row.
    pub head_dim: usize,
    /// Positions.
    pub context: usize,
}

impl KvLayout {
    /// Of heads of so many numbers and a context of so many tokens.
    pub fn new(format: KvFormat, head_dim: u32, context: u32) -> Self {
        Self { format, head_dim: head_dim as usize, context: context as usize }
    }

    /// Words of a position's numbers.
    pub fn row_words(&self) -> usize {
        match self.format {
            KvFormat::F32 => self.head_dim,
            KvFormat::Int8 => self.head_dim.div_ceil(16) * 4,
            KvFormat::Int4 => self.head_dim.div_ceil(32) * 4,
        }
    }

    /// Words of a position's scales.
    pub fn scale_words(&self) -> usize {
        if self.format == KvFormat::F32 { 0 } else { self.head_dim.div_ceil(2 * KV_BLOCK) }
    }

    /// Words of a key head's part.
    pub fn head_words(&self) -> u64 {
        let (context, row) = (self.context as u64, self.row_words() as u64);
        context * row + (context * self.scale_words() as u64).next_multiple_of(4)
    }

    /// Where the scales of all positions begin.
    pub fn scales_at(&self) -> usize {
        self.context * self.row_words()
    }

    /// The scale of a row's block, from those of the row.
    pub fn scale(scales: &[u32], block: usize) -> f32 {
        let word = scales[block / 2];
        f32::from_bits(if block % 2 == 1 { word & 0xffff_0000 } else { word << 16 })
    }

    /// Puts a row into a head's part.
    pub fn write_row(&self, row: &[f32], position: usize, head: &mut [u32]) {
        let (numbers, scales) = head.split_at_mut(self.scales_at());
        let numbers = &mut numbers[position * self.row_words()..][..self.row_words()];
        if self.format == KvFormat::F32 {
            numbers.copy_from_slice(bytemuck::cast_slice(row));
            return;
        }
        let scales = &mut scales[position * self.scale_words()..][..self.scale_words()];
        scales.fill(0);
        let (most, words) = if self.format == KvFormat::Int8 { (127.0, 8) } else { (7.0, 4) };
        for (nth, (block, out)) in row.chunks(KV_BLOCK).zip(numbers.chunks_mut(words)).enumerate() {
            let scale = scale_bits(block, most);
            scales[nth / 2] |= if nth % 2 == 1 { scale } else { scale >> 16 };
            let inverse = if scale == 0 || scale == NOT_FINITE { 0.0 } else { 1.0 / f32::from_bits(scale) };
            let mut rounded = [0_u8; KV_BLOCK];
            for (rounded, number) in rounded.iter_mut().zip(block) {
                *rounded = (number * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as u8;
            }
            if self.format == KvFormat::Int4 {
                let (lower, upper) = rounded.split_at_mut(KV_BLOCK / 2);
                for (lower, upper) in lower.iter_mut().zip(upper) {
                    *lower = (lower.wrapping_add(8) & 15) | upper.wrapping_add(8) << 4;
                }
            }
            let bytes = &rounded[..out.len() * 4];
            for (word, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *word = u32::from_le_bytes(*bytes);
            }
        }
    }

    /// The numbers of a row in a head's part, as they were rounded.
    pub fn read_row(&self, head: &[u32], position: usize, row: &mut [f32]) {
        let numbers = &head[position * self.row_words()..][..self.row_words()];
        if self.format == KvFormat::F32 {
            row.copy_from_slice(bytemuck::cast_slice(numbers));
            return;
        }
        let scales = &head[self.scales_at() + position * self.scale_words()..][..self.scale_words()];
        let byte = |at: usize| (numbers[at / 4] >> (at % 4 * 8)) as u8;
        for (at, number) in row.iter_mut().enumerate() {
            let (block, within) = (at / KV_BLOCK, at % KV_BLOCK);
            let whole = if self.format == KvFormat::Int8 {
                f32::from(byte(at) as i8)
            } else {
                let both = byte(block * 16 + within % 16);
                f32::from(if within < 16 { both & 15 } else { both >> 4 }) - 8.0
            };
            *number = whole * Self::scale(scales, block);
        }
    }
}

/// The upper half of the least scale with which no number of the block passes `most`, or about that.
fn scale_bits(block: &[f32], most: f32) -> u32 {
    // As whole numbers: that is their order, and what is no number comes out greatest.
    let largest = block.iter().fold(0, |largest, number| (number.to_bits() & 0x7fff_ffff).max(largest));
    if largest >= f32::INFINITY.to_bits() {
        return NOT_FINITE;
    }
    let scale = f32::from_bits(largest) * (1.0 / most);
    if scale < SCALE_MIN { 0 } else { (scale.to_bits() + 0xffff) & 0xffff_0000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(head_dim: usize) -> Vec<f32> {
        (0..head_dim).map(|at| (at as f32 * 1.7).sin() * (1.0 + at as f32)).collect()
    }

    #[test]
    fn a_row_comes_back_within_half_a_step_of_its_blocks() {
        for (format, most) in [(KvFormat::F32, 1e9), (KvFormat::Int8, 127.0), (KvFormat::Int4, 7.0)] {
            for head_dim in [4, 12, 16, 20, 32, 64, 80, 96, 128, 256] {
                let layout = KvLayout::new(format, head_dim, 5);
                let mut head = vec![u32::MAX; layout.head_words() as usize];
                let rows: Vec<Vec<f32>> = (0..5).map(|_| row(head_dim as usize)).collect();
                for (position, row) in rows.iter().enumerate() {
                    layout.write_row(row, position, &mut head);
                }
                for (position, row) in rows.iter().enumerate() {
                    let mut found = vec![0.0; row.len()];
                    layout.read_row(&head, position, &mut found);
                    for (found, row) in found.chunks(KV_BLOCK).zip(row.chunks(KV_BLOCK)) {
                        let largest = row.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
                        // A scale may be 1/128 too large.
                        let half = largest / most * 0.5 * 1.01;
                        assert!(found.iter().zip(row).all(|(found, number)| (found - number).abs() <= half));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let layout = KvLayout::new(KvFormat::Int8, 64, 1);
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut before = row(64);
            before[40] = broken;
            let mut head = vec![0; layout.head_words() as usize];
            layout.write_row(&before, 0, &mut head);
            let mut found = vec![0.0; 64];
            layout.read_row(&head, 0, &mut found);
            assert!(found[..32].iter().all(|number| number.is_finite()));
            assert!(found[32..].iter().all(|number| number.is_nan()));
        }
    }

    #[test]
    fn caches_take_about_a_quarter_and_a_seventh_of_f32() {
        for head_dim in [64, 128, 256] {
            let words = |format| KvLayout::new(format, head_dim, 4096).head_words() as f64;
            let of = |format| words(format) / words(KvFormat::F32);
            assert_eq!(of(KvFormat::Int8), 8.5 / 32.0);
            assert_eq!(of(KvFormat::Int4), 4.5 / 32.0);
        }
    }
}
