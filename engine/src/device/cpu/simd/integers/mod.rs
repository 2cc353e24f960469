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
pub use avx512::{Avx512Vbmi, Avx512Vnni};
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

/// How a column of sixteen rows becomes their windows of 16 bits, and these the bytes that are summed up.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Windows {
    /// For each row, which bytes of the column hold its window; none in the place of the fourth.
    pub picks: [u8; QUAD],
    /// By how many bits they are then moved down.
    pub shifts: [u32; ROWS],
    /// For each two rows, the four bytes of a column that hold their windows, and those of the next column.
    pub pair_picks: [u8; QUAD],
    /// Where in these eight bytes each byte of a row's two windows begins, in bits.
    pub pair_shifts: [u8; QUAD],
    /// Which bits of a window count.
    pub window_mask: u32,
    /// Which bits of its product.
    pub code_mask: u32,
}

impl Windows {
    /// Of weights of so many bits.
    #[inline(always)]
    pub fn of(bits: usize, window_mask: u32, code_mask: u32) -> Self {
        let picks = std::array::from_fn(|at| if at % 4 == 3 { 128 } else { (at / 4 * bits / 8 + at % 4) as u8 });
        let shifts = std::array::from_fn(|row| (row * bits % 8) as u32);
        let pair_picks = std::array::from_fn(|at| {
            let (column, byte) = (at % 8 / 4, at % 4);
            (column * 2 * bits + at / 8 * 2 * bits / 8 + byte) as u8
        });
        let pair_shifts = std::array::from_fn(|at| {
            let (rows, row, column, byte) = (at / 8, at % 8 / 4, at % 4 / 2, at % 2);
            (rows * 2 * bits % 8 + row * bits + column * 32 + byte * 8) as u8
        });
        Self { picks, shifts, pair_picks, pair_shifts, window_mask, code_mask }
    }
}

/// What two columns are multiplied with.
#[derive(Clone, Copy)]
pub struct Columns {
    /// Each four times.
    pub each: [Four; 2],
    /// Both twice.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only AVX-512 takes both columns at once"))]
    pub both: Four,
}

/// The sixteen bytes from a place on; there are as many.
#[inline(always)]
pub fn part(bytes: &[u8], at: usize) -> &[u8; 16] {
    match bytes[at..].first_chunk() {
        Some(part) => part,
        None => &[0; 16],
    }
}

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
    /// Adds the products of sixteen weights of two bits: bits 2 j of the bytes are multiplied with the four numbers j.
    #[inline(always)]
    fn dot_twos(self, bytes: Self::Bytes, x: &[Four; 4], mut sums: Self::Sums) -> Self::Sums {
        for half in 0..self.fours() / 2 {
            let weights = [self.bits(bytes, 4 * half as i32, 3), self.bits(bytes, 4 * half as i32 + 2, 3)];
            sums = self.dot_unsigned(weights, [x[2 * half], x[2 * half + 1]], sums);
        }
        sums
    }
    /// Adds the products of four weights between 0 and 127.
    fn dot_sevens(self, weights: Self::Bytes, x: Four, sums: Self::Sums) -> Self::Sums;
    /// The bytes of the windows of a column of a trellis: of each row, those of its window's product.
    fn window_bytes(self, from: &[u8; 16], windows: &Windows) -> Self::Bytes;
    /// Adds the products of two columns of a trellis, neighbours in a tile, which begin at those bytes of its ring; a
    /// quad of bytes lies behind each beginning.
    #[inline(always)]
    fn dot_columns(self, ring: &[u8], at: [usize; 2], windows: &Windows, x: Columns, sums: Self::Sums) -> Self::Sums {
        let sums = self.dot_sevens(self.window_bytes(part(ring, at[0]), windows), x.each[0], sums);
        self.dot_sevens(self.window_bytes(part(ring, at[1]), windows), x.each[1], sums)
    }
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
