//! Whole numbers behind one trait: products of weights of few bits with activations of eight.
//!
//! Sixteen rows go side by side ([`ROWS`]): a vector of [`QUAD`] bytes holds four weights of each of them, one row
//! after the other, and four activations, the same for all rows, are multiplied with it. So a product needs no sum
//! across lanes, and every instruction set has an instruction or two for it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod quarter;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

#[cfg(target_arch = "x86_64")]
pub use avx2::{Avx2Integers, AvxVnni};
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512Vnni;
#[cfg(target_arch = "aarch64")]
pub use neon::{NeonDotprod, NeonI8mm, NeonIntegers};

/// Work that is compiled for each instruction set; see [`super::Task`].
pub trait IntegerTask {
    /// Does it.
    fn run<S: Integers>(self, simd: S);
}

/// Rows that go side by side.
pub const ROWS: usize = 16;

/// Bytes of four weights of each row.
pub const QUAD: usize = 4 * ROWS;

/// The most that [`Integers::SHARES`] may be.
pub const SHARES_MAX: usize = 4;

/// Four activations, as bytes of a little-endian word.
pub type Four = i32;

/// Arithmetic on bytes, and on a number for each of [`ROWS`] rows.
pub trait Integers: Copy {
    /// [`QUAD`] bytes.
    type Bytes: Copy;
    /// A whole number for each row, perhaps in several terms.
    type Sums: Copy;
    /// An F32 for each row.
    type Rows: Copy;
    /// How many tokens go through a panel at once: as many as the registers hold sums for.
    const SUMS_TOKENS: usize;
    /// Whether tokens go through a panel two by two, with sums of their own kind; see [`Self::dot_pair`].
    const PAIRS: bool = false;
    /// What [`Self::bias`] adds to a signed weight, and the caller takes off the sum again.
    const BIAS: i32;

    /// Does the same for a share of the rows alone; what it loads and stores are these rows' places.
    type Share: Integers;
    /// How many shares the rows are: more than one where that leaves registers for more streams.
    const SHARES: usize = 1;
    /// How many groups one vector is multiplied with at the same time: 1, 2, 4 or 8.
    const STREAMS: usize = 1;

    /// One of [`Self::SHARES`].
    fn share(self, nth: usize) -> Self::Share;
    /// Four: where a loop over half of a block's columns ends. It may hide that from the compiler.
    #[inline(always)]
    fn fours(self) -> usize {
        4
    }

    /// Says that the bytes which lie so far behind the start of `from` are needed soon; there may be none.
    #[inline(always)]
    fn fetch(self, _from: &[u8], _ahead: usize) {}
    /// From memory.
    fn load_bytes(self, from: &[u8; QUAD]) -> Self::Bytes;
    /// To memory.
    fn store_bytes(self, bytes: Self::Bytes, to: &mut [u8; QUAD]);
    /// Some bits of each byte: moved down by `shift`, or up if that is negative, and masked. What the mask keeps must
    /// not come from the neighbour's bits.
    fn bits(self, bytes: Self::Bytes, shift: i32, mask: u8) -> Self::Bytes;
    /// The bits of both.
    fn or(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// What each byte, which is less than 16, stands for.
    fn look_up(self, table: &[i8; 16], bytes: Self::Bytes) -> Self::Bytes;
    /// Signed weights as [`Self::dot_signed`] wants them.
    fn bias(self, bytes: Self::Bytes) -> Self::Bytes;

    /// The number for every row.
    fn start(self, sum: i32) -> Self::Sums;
    /// Adds the products of two times four weights between 0 and 63.
    fn dot_unsigned(self, weights: [Self::Bytes; 2], x: [Four; 2], sums: Self::Sums) -> Self::Sums;
    /// Adds the products of two times four signed weights that are [biased](Self::bias). No activation is -128.
    fn dot_signed(self, weights: [Self::Bytes; 2], x: [Four; 2], sums: Self::Sums) -> Self::Sums;

    /// To F32.
    fn rows(self, sums: Self::Sums) -> Self::Rows;

    /// To a panel: two times four columns, in whatever order products with panels want them.
    #[inline(always)]
    fn store_columns(self, [a, b]: [Self::Bytes; 2], [to_a, to_b]: &mut [[u8; QUAD]; 2]) {
        self.store_bytes(a, to_a);
        self.store_bytes(b, to_b);
    }
    /// [`Self::start`] for two tokens.
    #[inline(always)]
    fn start_pair(self, [a, b]: [i32; 2]) -> [Self::Sums; 2] {
        [self.start(a), self.start(b)]
    }
    /// Adds the products of two times four columns, as they lie in a panel, with two tokens. Weights with a sign are
    /// [biased](Self::bias).
    #[inline(always)]
    fn dot_pair(self, weights: [Self::Bytes; 2], [x, y]: [[Four; 2]; 2], [a, b]: [Self::Sums; 2]) -> [Self::Sums; 2] {
        [self.dot_signed(weights, x, a), self.dot_signed(weights, y, b)]
    }
    /// [`Self::rows`] of two tokens.
    #[inline(always)]
    fn rows_pair(self, [a, b]: [Self::Sums; 2]) -> [Self::Rows; 2] {
        [self.rows(a), self.rows(b)]
    }
    /// From memory.
    fn load_rows(self, from: &[f32; ROWS]) -> Self::Rows;
    /// To memory.
    fn store_rows(self, rows: Self::Rows, to: &mut [f32; ROWS]);
    /// From binary16.
    fn rows_f16(self, from: &[u8; 2 * ROWS]) -> Self::Rows;
    /// `a * b`.
    fn mul_rows(self, a: Self::Rows, b: Self::Rows) -> Self::Rows;
    /// `a * b + c` with the same `b` for every row.
    fn scale_add(self, a: Self::Rows, b: f32, c: Self::Rows) -> Self::Rows;
    /// `a * b * scale + c` with the same `scale` for every row.
    fn mul_scale_add(self, a: Self::Rows, b: Self::Rows, scale: f32, c: Self::Rows) -> Self::Rows;

    /// The number for every row.
    #[inline(always)]
    fn splat_rows(self, value: f32) -> Self::Rows {
        self.load_rows(&[value; ROWS])
    }

    /// From signed bytes.
    #[inline(always)]
    fn rows_i8(self, from: [i8; ROWS]) -> Self::Rows {
        self.load_rows(&from.map(f32::from))
    }
}
