//! Matrices times vectors and batches.

use hearth_engine::{
    kernel::{Matmul, Matrix, Matvec},
    quant::{self, trellis::Code},
};

use super::*;

/// A matrix, as stored and as float64.
pub struct Weights {
    pub format: Format,
    pub columns: usize,
    pub bytes: Vec<u8>,
    pub numbers: Vec<f64>,
}

impl Weights {
    pub fn random(seed: u64, format: Format, rows: usize, columns: usize, exponent: i32) -> Self {
        let bytes = super::rows(format, seed, rows * columns, exponent);
        let mut decoded = vec![0.0; rows * columns];
        quant::decode_row(format, &bytes, &mut decoded);
        Self { format, columns, bytes, numbers: decoded.into_iter().map(f64::from).collect() }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix {
            format: self.format,
            rows: self.numbers.len() / self.columns,
            columns: self.columns,
            bytes: &self.bytes,
            code: Code::default(),
        }
    }

    /// The products with one vector in float64, and the sums of their terms' magnitudes.
    fn multiply<'a>(&'a self, x: &'a [f32]) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.numbers.chunks_exact(self.columns).map(move |row| {
            let terms = row.iter().zip(x).map(|(weight, x)| weight * f64::from(*x));
            terms.fold((0.0, 0.0), |(sum, magnitude), term| (sum + term, magnitude + term.abs()))
        })
    }
}

fn check_matvec(seed: u64, format: Format, rows: usize, columns: usize, exponents: (i32, i32), accumulate: bool) {
    let weights = Weights::random(seed, format, rows, columns, exponents.0);
    let x = numbers(seed + 1, columns, exponents.1);
    let before = numbers(seed + 2, rows, exponents.0 + exponents.1);
    let mut bench = Bench::default();
    let (x_id, out) = (bench.state(&x), bench.state(&before));
    let id = bench.weight(format, columns as u32, &weights.bytes);
    let (columns, rows) = (columns as u32, rows as u32);
    let matvec = Matvec { x: x_id, weights: id, out, columns, rows, accumulate };

    let start = |index: usize| if accumulate { f64::from(before[index]) } else { 0.0 };
    let (expected, magnitudes): (Vec<f64>, Vec<f64>) = weights
        .multiply(&x)
        .enumerate()
        .map(|(index, (sum, magnitude))| (start(index) + sum, start(index).abs() + magnitude))
        .unzip();
    let mut twin = before.clone();
    matvec.twin(&x, weights.matrix(), &mut twin);
    assert_close("twin", &twin, &expected, &magnitudes);
    let twin: Vec<f64> = twin.into_iter().map(f64::from).collect();
    for (level, got) in bench.run_everywhere(Step { position: 0, tokens: 1 }, &Command::Matvec(matvec.clone()), out) {
        assert_close(&format!("{} {format} against float64", level.name()), &got, &expected, &magnitudes);
        assert_close(&format!("{} {format} against the twin", level.name()), &got, &twin, &magnitudes);
    }
}

fn check_matmul(
    seed: u64,
    format: Format,
    (tokens, rows, columns): (usize, usize, usize),
    exponent: i32,
    accumulate: bool,
) {
    let weights = Weights::random(seed, format, rows, columns, exponent);
    let x = numbers(seed + 1, tokens * columns, 0);
    let before = numbers(seed + 2, tokens * rows, exponent);
    let mut bench = Bench::default();
    let (x_id, out) = (bench.state(&x), bench.state(&before));
    let id = bench.weight(format, columns as u32, &weights.bytes);
    let step = Step { position: 0, tokens: tokens as u32 };
    let matmul = Matmul { x: x_id, weights: id, out, columns: columns as u32, rows: rows as u32, accumulate };

    let start = |index: usize| if accumulate { f64::from(before[index]) } else { 0.0 };
    let (expected, magnitudes): (Vec<f64>, Vec<f64>) = x
        .chunks_exact(columns)
        .flat_map(|x| weights.multiply(x))
        .enumerate()
        .map(|(index, (sum, magnitude))| (start(index) + sum, start(index).abs() + magnitude))
        .unzip();
    let mut twin = before.clone();
    matmul.twin(step, &x, weights.matrix(), &mut twin);
    let twin: Vec<f64> = twin.into_iter().map(f64::from).collect();
    for (level, got) in bench.run_everywhere(step, &Command::Matmul(matmul.clone()), out) {
        assert_close(&format!("{} {format} against float64", level.name()), &got, &expected, &magnitudes);
        assert_close(&format!("{} {format} against the twin", level.name()), &got, &twin, &magnitudes);
    }
}

/// Columns: multiples of 4 and whole blocks.
fn columns(format: Format, quarter: usize) -> usize {
    (quarter * 4).next_multiple_of(format.block_elements())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn matvec_is_right_for_any_shape(
        seed in any::<u32>(),
        format in any_format(),
        rows in 1_usize..70,
        quarter in 1_usize..80,
        exponents in (-4_i32..4, -6_i32..6),
        accumulate in any::<bool>(),
    ) {
        check_matvec(seed.into(), format, rows, columns(format, quarter), exponents, accumulate);
    }

    #[test]
    fn matmul_is_right_for_any_shape(
        seed in any::<u32>(),
        format in any_format(),
        tokens in 1_usize..38,
        rows in 1_usize..70,
        quarter in 1_usize..140,
        exponent in -4_i32..4,
        accumulate in any::<bool>(),
    ) {
        check_matmul(seed.into(), format, (tokens, rows, columns(format, quarter)), exponent, accumulate);
    }
}

#[test]
fn large_matvecs_are_split_among_workers_without_a_trace() {
    for format in Format::ALL {
        check_matvec(7, format, 1_003, 1_024, (-2, 0), true);
    }
}

#[test]
fn large_matmuls_are_split_among_workers_without_a_trace() {
    for format in Format::ALL {
        // Few rows, so that tokens are split too; and many rows with three tokens, which take no panel.
        let columns = columns(format, 136);
        check_matmul(8, format, (130, 45, columns), -2, true);
        check_matmul(9, format, (3, 1_501, columns), -2, false);
    }
}

#[test]
fn blocks_of_every_scale_and_value_are_decoded_exactly() {
    // One weight of each row is not zero: the product is the weight itself, in every format and for every column.
    for format in Format::ALL {
        let (columns, rows) = (columns(format, 16), 64);
        let weights = Weights::random(3, format, rows, columns, 1);
        for tokens in [1, 2, 5] {
            let mut x = vec![0.0; tokens * columns];
            for (token, x) in x.chunks_exact_mut(columns).enumerate() {
                x[columns - 27 - token] = 1.0;
            }
            let mut bench = Bench::default();
            let (x_id, out) = (bench.state(&x), bench.state(&vec![0.0; tokens * rows]));
            let id = bench.weight(format, columns as u32, &weights.bytes);
            let accumulate = false;
            let matmul = Matmul { x: x_id, weights: id, out, columns: columns as u32, rows: rows as u32, accumulate };
            let command = Command::Matmul(matmul);
            for (level, got) in bench.run_everywhere(Step { position: 0, tokens: tokens as u32 }, &command, out) {
                for (index, got) in got.iter().enumerate() {
                    let (token, row) = (index / rows, index % rows);
                    let expected = weights.numbers[row * columns + columns - 27 - token];
                    assert_eq!(f64::from(*got), expected, "{} {format}: row {row}", level.name());
                }
            }
        }
    }
}
