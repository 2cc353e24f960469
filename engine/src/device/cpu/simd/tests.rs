//! What single instructions do, on every instruction set that this machine has.

use super::{BLOCK, Simd, SimdLevel, Task};

fn levels() -> impl Iterator<Item = SimdLevel> {
    SimdLevel::ALL.into_iter().filter(|level| level.is_available())
}

struct Exponentials<'a> {
    numbers: &'a mut [[f32; BLOCK]],
}

impl Task for Exponentials<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for numbers in self.numbers {
            let mut block = simd.load(numbers);
            for vector in block.as_mut() {
                *vector = simd.exp(*vector);
            }
            simd.store(block, numbers);
        }
    }
}

#[test]
fn exponentials_are_right_to_two_units_in_the_last_place() {
    let inputs: Vec<f32> = (0..100_000).map(|index| -87.0 + 175.0 * index as f32 / 100_000.0).collect();
    for level in levels() {
        let mut numbers = inputs.clone();
        level.run(Exponentials { numbers: numbers.as_chunks_mut().0 });
        let worst = inputs
            .iter()
            .zip(&numbers)
            .map(|(input, got)| {
                let exact = f64::from(*input).exp();
                let unit = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
                (f64::from(*got) - exact).abs() / unit
            })
            .fold(0.0, f64::max);
        assert!(worst <= 2.0, "{}: off by {worst} units", level.name());
    }
}

struct Halves<'a> {
    out: &'a mut [f32],
}

impl Task for Halves<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (block, out) in self.out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let mut bytes = [0; 64];
            for (index, bytes) in bytes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *bytes = ((block * BLOCK + index) as u16).to_le_bytes();
            }
            simd.store(simd.decode_f16(&bytes), out);
            for (index, out) in out.iter().enumerate() {
                let alone = simd.f16(((block * BLOCK + index) as u16).to_le_bytes());
                assert!(alone.to_bits() == out.to_bits() || alone.is_nan() && out.is_nan());
            }
        }
    }
}

#[test]
fn every_binary16_is_decoded_exactly() {
    for level in levels() {
        let mut numbers = vec![0.0; 1 << 16];
        level.run(Halves { out: &mut numbers });
        for (bits, got) in numbers.into_iter().enumerate() {
            let exact = half::f16::from_bits(bits as u16).to_f32();
            let same = got.to_bits() == exact.to_bits() || got.is_nan() && exact.is_nan();
            assert!(same, "{}: {bits:#06x} is {got}, not {exact}", level.name());
        }
    }
}

struct Folds<'a> {
    numbers: &'a [f32; BLOCK],
}

impl Task for Folds<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for vector in simd.load(self.numbers).as_ref() {
            let mut lanes = simd.splat_block(0.0);
            lanes.as_mut()[0] = *vector;
            let mut stored = [0.0; BLOCK];
            simd.store(lanes, &mut stored);
            assert_eq!(simd.sum(*vector), stored.iter().sum::<f32>());
            assert_eq!(simd.maximum(*vector), stored.iter().copied().fold(0.0, f32::max));
            let tenfold = simd.mul(*vector, simd.splat(10.0));
            let sum: f32 = stored.iter().sum();
            assert_eq!(simd.sum4([*vector, tenfold, simd.splat(0.0), *vector]), [sum, 10.0 * sum, 0.0, sum]);
        }
    }
}

struct Orders<'a> {
    numbers: &'a [f32; BLOCK],
}

impl Task for Orders<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for vector in simd.load(self.numbers).as_ref() {
            let sum = simd.sum(*vector);
            assert_eq!(simd.sum4([*vector; 4]), [sum; 4]);
        }
    }
}

#[test]
fn four_sums_are_rounded_as_one_is() {
    // Numbers whose sum depends on the order.
    for seed in 1..50 {
        let numbers =
            std::array::from_fn(|index| ((index * 7 + seed) as f32 * 0.737).sin() * 10f32.powi(index as i32 % 5));
        for level in levels() {
            level.run(Orders { numbers: &numbers });
        }
    }
}

#[test]
fn sums_and_maxima_take_every_lane() {
    // Powers of two, each in one lane: no sum rounds, and each lane is missed.
    let numbers = std::array::from_fn(|index| (1_u32 << ((index * 5) % 16)) as f32);
    for level in levels() {
        level.run(Folds { numbers: &numbers });
    }
}
