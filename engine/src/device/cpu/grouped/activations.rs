//! Activations as bytes: each 32 of a token with a scale of their own, as in Q8_0, and with their sums, which take the
//! place of what a format adds to all of its weights.

use crate::device::cpu::{
    SimdLevel, Workers, parts,
    simd::{BLOCK, Four, Simd, Task},
};

/// [`BLOCK`] activations, on a cache line.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub struct XPart {
    /// Quants between -127 and 127, four in a word.
    pub fours: [Four; BLOCK / 4],
    /// What the sums of products begin with: the sum of the quants times what is taken off each weight, of each half
    /// or, in the first, of all.
    pub starts: [i32; 2],
    /// The sum of the activations, of each half or, in the first, of all.
    pub totals: [f32; 2],
    /// What the quants are multiplied with.
    pub scale: f32,
}

/// What a format wants from the sums.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// What is taken off each weight.
    pub offset: i32,
    /// Whether each half has a sum of its own.
    pub halves: bool,
}

/// Tokens that lie beside each other, part by part, because a panel meets them together: the most, and what is taken
/// for the rest.
const LOTS: [usize; 3] = [12, 4, 1];

/// The lots of so many tokens: each one's first token and how many there are.
pub fn lots(tokens: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let size = LOTS.into_iter().find(|size| *size <= tokens - first)?;
        first += size;
        Some((first - size, size))
    })
}

/// Numbers that are worth waking a worker for.
const PART_NUMBERS: usize = 32 << 10;

/// Turns whole rows of `x` into parts: one lot after the other, in each one part after the other, and in that the same
/// part of each of its tokens.
pub fn quantize(
    workers: &dyn Workers,
    level: SimdLevel,
    (x, columns): (&[f32], usize),
    wanted: Wanted,
    out: &mut Vec<XPart>,
) {
    let parts = columns / BLOCK;
    out.resize(x.len() / BLOCK, XPart::default());
    let mut pieces = Vec::new();
    let mut rest = out.as_mut_slice();
    // Several lots a piece, as long as there are a few more pieces than workers.
    let count = parts::count(workers, x.len(), PART_NUMBERS);
    let piece_tokens = (x.len() / columns).div_ceil(count);
    for (first, size) in lots(x.len() / columns) {
        let out;
        (out, rest) = std::mem::take(&mut rest).split_at_mut(size * parts);
        let lot = Lot { x: &x[first * columns..][..size * columns], size, out };
        match pieces.last_mut() {
            Some((tokens, lots)) if *tokens + size <= piece_tokens => {
                *tokens += size;
                Vec::push(lots, lot);
            }
            _ => pieces.push((size, vec![lot])),
        }
    }
    parts::each(workers, pieces, |(_, lots)| level.run(Quantize { lots, wanted }));
}

struct Lot<'a> {
    x: &'a [f32],
    size: usize,
    out: &'a mut [XPart],
}

struct Quantize<'a> {
    lots: Vec<Lot<'a>>,
    wanted: Wanted,
}

impl Task for Quantize<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for Lot { x, size, out } in self.lots {
            let parts = out.len() / size;
            for (nth, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
                let (token, part) = (nth / parts, nth % parts);
                out[part * size + token] = quantize_block(x, self.wanted);
            }
        }
    }
}

/// Loops over arrays, which the compiler turns into the vectors of the instruction set that they are inlined into.
#[inline(always)]
fn quantize_block(x: &[f32; BLOCK], wanted: Wanted) -> XPart {
    // Compared as whole numbers, what is no number is the greatest: it shows in the scale instead of being hidden.
    let mut greatest = 0;
    for x in x {
        greatest = greatest.max(x.to_bits() & 0x7fff_ffff);
    }
    let greatest = f32::from_bits(greatest);
    let scale = greatest / 127.0;
    // What is so small counts for nothing in any sum, and its inverse could overflow.
    let inverse = if greatest < 1e-30 { 0.0 } else { 127.0 / greatest };
    // Adding it leaves a float no bits for fractions: it is rounded to the nearest whole number, ties to even.
    const ROUND: f32 = 12_582_912.0;
    let mut quants = [0_i8; BLOCK];
    for (quant, x) in quants.iter_mut().zip(x) {
        *quant = (x * inverse + ROUND).to_bits() as i8;
    }
    let (lower, upper) = quants.split_at(BLOCK / 2);
    let [lower, upper] = [lower, upper].map(|half| half.iter().map(|quant| i32::from(*quant)).sum::<i32>());
    let sums = if wanted.halves { [lower, upper] } else { [lower + upper, 0] };
    let fours = bytemuck::cast(quants);
    XPart { fours, starts: sums.map(|sum| -wanted.offset * sum), totals: sums.map(|sum| scale * sum as f32), scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Serial;

    const WANTED: Wanted = Wanted { offset: 8, halves: true };

    #[test]
    fn activations_keep_to_half_a_step() {
        let x: Vec<f32> = (0..7 * BLOCK).map(|index| ((index * index) as f32 * 0.37).sin() * (index as f32)).collect();
        for level in SimdLevel::ALL.into_iter().filter(|level| level.is_available()) {
            let mut parts = Vec::new();
            quantize(&Serial, level, (&x, BLOCK * 7), WANTED, &mut parts);
            for (part, x) in parts.iter().zip(x.as_chunks::<BLOCK>().0) {
                let greatest = x.iter().fold(0.0_f32, |greatest, x| greatest.max(x.abs()));
                assert_eq!(part.scale, greatest / 127.0);
                let quants: [i8; BLOCK] = bytemuck::cast(part.fours);
                for (quant, x) in quants.iter().zip(x) {
                    assert!((f32::from(*quant) * part.scale - x).abs() <= 0.5001 * part.scale, "{}", level.name());
                }
                let sum = |half: &[i8]| half.iter().map(|quant| i32::from(*quant)).sum::<i32>();
                let sums = [sum(&quants[..16]), sum(&quants[16..])];
                assert_eq!(part.starts, sums.map(|sum| -8 * sum));
                assert_eq!(part.totals, sums.map(|sum| part.scale * sum as f32));
            }
        }
    }

    #[test]
    fn what_is_no_number_shows_and_what_is_tiny_vanishes() {
        for (number, right) in [
            (f32::NAN, f32::is_nan as fn(f32) -> bool),
            (f32::INFINITY, f32::is_infinite),
            (0.0, |scale| scale == 0.0),
            (1e-40, |scale| scale < 1e-40),
        ] {
            let mut x = [0.0; BLOCK];
            x[9] = number;
            let part = quantize_block(&x, WANTED);
            assert!(right(part.scale), "{number}: {}", part.scale);
            assert!(!number.is_finite() || part.fours == [0; BLOCK / 4]);
        }
    }

    #[test]
    fn lots_hold_every_token_part_by_part() {
        for tokens in [1, 2, 3, 5, 11, 12, 13, 31] {
            let x: Vec<f32> = (0..tokens * 3 * BLOCK).map(|index| (index / BLOCK + 1) as f32).collect();
            let mut found = Vec::new();
            quantize(&Serial, SimdLevel::detect(), (&x, 3 * BLOCK), WANTED, &mut found);
            let mut seen = 0;
            for (first, size) in lots(tokens) {
                assert_eq!(first, seen);
                seen += size;
                for part in 0..3 {
                    for token in 0..size {
                        let scale = found[first * 3 + part * size + token].scale;
                        assert_eq!(scale, ((first + token) * 3 + part + 1) as f32 / 127.0);
                    }
                }
            }
            assert_eq!(seen, tokens);
        }
    }
}
