//! Instruction sets behind one trait, so that each kernel is written once and compiled for all of them.
//!
//! Everything is done in blocks of 32 numbers, which is what a block of Q8_0 or Q4_0 holds and a whole number of
//! vectors of any instruction set. A value of a type that implements [`Simd`] is the proof that this machine has the
//! instructions: it cannot be made where they are missing. So kernels are safe code, and `unsafe` stays inside the
//! files of this folder.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod integers;
mod level;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

pub use integers::{Columns, Four, IntegerTask, Integers, QUAD, ROWS, SHARES_MAX, Windows};
pub use level::SimdLevel;

/// Numbers of a block.
pub const BLOCK: usize = 32;

/// An instruction set: arithmetic on vectors of F32, and blocks of weights as they are stored. [`Integers`] has the
/// arithmetic on whole numbers.
pub trait Simd: Copy {
    /// Some F32 numbers in a register.
    type Vector: Copy;
    /// [`BLOCK`] numbers in registers.
    type Block: Copy + AsRef<[Self::Vector]> + AsMut<[Self::Vector]>;
    /// How many tokens go through a panel at once.
    const TILE_TOKENS: usize;
    /// How often they go through it, each time with another part of its 32 rows: so often that the sums of all tokens
    /// for that part, and the part of a column, fit the registers. A divisor of 4.
    const TILE_PASSES: usize;

    /// The number in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The greater; `b` where that is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The lesser; `b` where that is not a number.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The bits of each lane, as an integer, moved up by 23: where an F32 has its exponent.
    fn shift_to_exponent(self, a: Self::Vector) -> Self::Vector;
    /// The greatest of all lanes, none of which may be something else than a number.
    fn maximum(self, a: Self::Vector) -> f32;
    /// The sum of all lanes.
    fn sum(self, a: Self::Vector) -> f32;

    /// The [sums](Self::sum) of four vectors, to the last bit: which rows are summed up together must not show.
    #[inline(always)]
    fn sum4(self, [a, b, c, d]: [Self::Vector; 4]) -> [f32; 4] {
        [self.sum(a), self.sum(b), self.sum(c), self.sum(d)]
    }

    /// Adds the products of two blocks, number by number, to two vectors of sums, which take turns.
    fn dot_add(self, a: Self::Block, b: Self::Block, sums: [Self::Vector; 2]) -> [Self::Vector; 2];

    /// [`BLOCK`] numbers from memory.
    fn load(self, from: &[f32; BLOCK]) -> Self::Block;
    /// [`BLOCK`] numbers to memory.
    fn store(self, block: Self::Block, to: &mut [f32; BLOCK]);
    /// Little-endian binary32.
    fn decode_f32(self, from: &[u8; 128]) -> Self::Block;
    /// Little-endian binary16.
    fn decode_f16(self, from: &[u8; 64]) -> Self::Block;
    /// Little-endian upper halves of binary32.
    fn decode_bf16(self, from: &[u8; 64]) -> Self::Block;
    /// Signed bytes.
    fn decode_i8(self, from: &[u8; 32]) -> Self::Block;
    /// Nibbles less 8: first all lower ones, then all upper ones.
    fn decode_i4(self, from: &[u8; 16]) -> Self::Block;
    /// One binary16.
    fn f16(self, bits: [u8; 2]) -> f32;

    /// The number in all of a block.
    #[inline(always)]
    fn splat_block(self, value: f32) -> Self::Block {
        self.load(&[value; BLOCK])
    }

    /// The exponential function, to two units in the last place; below -87 it stays at 1e-38 instead of 0.
    ///
    /// `e^x = 2^n e^r` with a whole number n and `|r| <= ln(2) / 2`, where eight terms of the Taylor series are enough
    /// for F32.
    #[inline(always)]
    fn exp(self, x: Self::Vector) -> Self::Vector {
        // Adding it leaves a float no bits for fractions; its lowest bits are then n and the bias of an exponent.
        const ROUND: f32 = 12_582_912.0 + 127.0;
        // ln(2) in two parts, the first so short that its products with n are exact.
        const LN_2_UPPER: f32 = 0.693_145_75;
        const LN_2_LOWER: f32 = 1.428_606_8e-6;
        const FACTORIALS: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
        let x = self.min(self.splat(88.0), self.max(self.splat(-87.0), x));
        let shifted = self.mul_add(x, self.splat(std::f32::consts::LOG2_E), self.splat(ROUND));
        let n = self.sub(shifted, self.splat(ROUND));
        let r = self.mul_add(n, self.splat(-LN_2_UPPER), x);
        let r = self.mul_add(n, self.splat(-LN_2_LOWER), r);
        let mut series = self.splat(1.0 / 5040.0);
        for term in FACTORIALS {
            series = self.mul_add(series, r, self.splat(term));
        }
        self.mul(series, self.shift_to_exponent(shifted))
    }
}

/// [`Simd::dot_add`] for the numbers of a block's vectors. Written out, because a loop that the compiler does not
/// unroll keeps its blocks in memory instead of registers.
macro_rules! dot_add {
    ($simd:ident, $a:ident, $b:ident, $sums:ident, $($even:literal $odd:literal),+) => {{
        let [mut even, mut odd] = $sums;
        $(
            even = $simd.mul_add($a[$even], $b[$even], even);
            odd = $simd.mul_add($a[$odd], $b[$odd], odd);
        )+
        [even, odd]
    }};
}
use dot_add;

/// Work that is compiled for each instruction set.
///
/// `run` and all generic code below it is `#[inline(always)]`: only what is inlined into the one function that turns
/// the instructions on is compiled with them.
pub trait Task {
    /// Does it.
    fn run<S: Simd>(self, simd: S);
}

#[cfg(test)]
mod tests;
