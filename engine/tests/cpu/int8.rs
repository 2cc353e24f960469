//! Products with activations of eight bits, on interleaved rows: against float64 with activations that are rounded as
//! promised, which leaves only F32's own rounding, and against float64 without.

use hearth_engine::{
    kernel::{Embed, ExpertMatvec, Matmul, Matvec},
    quant,
};

use super::{products::Weights, *};

/// The formats whose rows are interleaved; the others compute as they always do.
const FORMATS: [Format; 14] = [
    Format::Q8_0,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q2_K,
    Format::Q3_K,
    Format::Q4_K,
    Format::Q5_K,
    Format::Q6_K,
    Format::IQ4_NL,
    Format::IQ4_XS,
    Format::TQ2_0,
    Format::MXFP4,
];

/// Each 32 activations as whole steps of a 127th of their greatest, and half such a step.
fn rounded(x: &[f32]) -> Vec<(f64, f64)> {
    let blocks = x.chunks(32).map(|block| {
        let greatest = block.iter().fold(0.0_f32, |greatest, x| greatest.max(x.abs()));
        let (step, inverse) = (greatest / 127.0, if greatest > 0.0 { 127.0 / greatest } else { 0.0 });
        block.iter().map(move |x| (f64::from((x * inverse).round_ties_even()) * f64::from(step), f64::from(step) / 2.0))
    });
    blocks.flatten().collect()
}

/// What products with some rows shall be.
pub struct Expected {
    /// With rounded activations.
    pub rounded: Vec<f64>,
    /// With activations as they are.
    pub exact: Vec<f64>,
    /// What rounding the activations can change.
    slack: Vec<f64>,
    /// The sums of the terms' magnitudes.
    pub magnitudes: Vec<f64>,
}

impl Expected {
    pub fn of(weights: &Weights, x: &[f32], before: &[f32]) -> Self {
        let mut expected = Self { rounded: Vec::new(), exact: Vec::new(), slack: Vec::new(), magnitudes: Vec::new() };
        let mut before = before.iter().map(|number| f64::from(*number));
        for x in x.chunks_exact(weights.columns) {
            let steps = rounded(x);
            for row in weights.numbers.chunks_exact(weights.columns) {
                let before = before.next().unwrap_or(0.0);
                let sum = |term: &dyn Fn(usize) -> f64| (0..x.len()).map(term).sum::<f64>();
                expected.rounded.push(before + sum(&|at| row[at] * steps[at].0));
                expected.exact.push(before + sum(&|at| row[at] * f64::from(x[at])));
                expected.slack.push(sum(&|at| row[at].abs() * steps[at].1 * 1.001));
                // What is taken off all weights is added up apart: at most as much as the greatest, for each.
                let greatest = row.iter().fold(0.0_f64, |greatest, weight| greatest.max(weight.abs()));
                expected.magnitudes.push(before.abs() + sum(&|at| 2.0 * greatest * steps[at].0.abs()));
            }
        }
        expected
    }

    pub fn check(&self, what: &str, got: &[f32]) {
        assert_close(what, got, &self.rounded, &self.magnitudes);
        for (index, got) in got.iter().enumerate() {
            let error = (f64::from(*got) - self.exact[index]).abs();
            let slack = self.slack[index] + TOLERANCE * self.magnitudes[index] + 1e-30;
            assert!(error <= slack, "{what}: element {index} is off by {error}, allowed {slack}");
        }
    }
}

fn columns(format: Format, blocks: usize) -> usize {
    // A few more than a panel's 32 parts, or a few blocks.
    blocks * format.block_elements()
}

fn check(seed: u64, format: Format, (tokens, rows, columns): (usize, usize, usize), accumulate: bool) {
    let weights = Weights::random(seed, format, rows, columns, -2);
    let x = numbers(seed + 1, tokens * columns, 0);
    let before = numbers(seed + 2, tokens * rows, 0);
    let mut bench = Bench { int8: true, ..Bench::default() };
    let (x_id, out) = (bench.state(&x), bench.state(&before));
    let id = bench.weight(format, columns as u32, &weights.bytes);
    let expected = Expected::of(&weights, &x, if accumulate { &before } else { &[] });
    let (columns, rows) = (columns as u32, rows as u32);
    let command = if tokens == 1 {
        Command::Matvec(Matvec { x: x_id, weights: id, out, columns, rows, accumulate })
    } else {
        Command::Matmul(Matmul { x: x_id, weights: id, out, columns, rows, accumulate })
    };
    let step = Step { position: 0, tokens: tokens as u32 };
    for (level, got) in bench.run_everywhere(step, &command, out) {
        expected.check(&format!("{} {format} {tokens}x{rows}x{columns}", level.name()), &got);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn products_are_right_for_any_shape(
        seed in any::<u32>(),
        format in 0..FORMATS.len(),
        rows in 1_usize..70,
        blocks in 1_usize..5,
        tokens in 1_usize..33,
        accumulate in any::<bool>(),
    ) {
        let format = FORMATS[format];
        check(seed.into(), format, (tokens, rows, columns(format, blocks)), accumulate);
    }
}

#[test]
fn products_are_right_in_every_format() {
    for format in FORMATS {
        // Longer than a panel, and no whole number of panels; one token, and some of every lot.
        let columns = columns(format, if format.block_elements() == 32 { 35 } else { 5 });
        check(1, format, (1, 37, columns), false);
        check(2, format, (25, 21, columns), true);
    }
}

#[test]
fn large_products_are_split_among_workers_without_a_trace() {
    for format in [Format::Q4_0, Format::Q8_0, Format::Q6_K] {
        check(3, format, (1, 3_001, 512), false);
        check(4, format, (130, 333, 256), true);
    }
}

#[test]
fn the_greatest_numbers_of_a_format_do_not_overflow() {
    // All bits set or clear, and activations that are all at the end of their range.
    for format in FORMATS {
        for fill in [0x00_u8, 0x7f, 0x80, 0xff] {
            let columns = columns(format, 2);
            let mut bytes = vec![fill; columns / format.block_elements() * format.block_bytes() * 5];
            // The scales are as for any other row: only the rest is filled.
            let plain = rows(format, 7, 5 * columns, 0);
            for at in scales(format).iter().copied() {
                for (block, plain) in
                    bytes.chunks_exact_mut(format.block_bytes()).zip(plain.chunks_exact(format.block_bytes()))
                {
                    block[at..at + 2].copy_from_slice(&plain[at..at + 2]);
                }
            }
            if format == Format::MXFP4 {
                bytes.chunks_exact_mut(17).for_each(|block| block[0] = 120);
            }
            let mut decoded = vec![0.0; 5 * columns];
            quant::decode_row(format, &bytes, &mut decoded);
            let weights = Weights { format, columns, bytes, numbers: decoded.into_iter().map(f64::from).collect() };
            let x: Vec<f32> = (0..3 * columns).map(|at| if at < columns || at % 3 == 0 { 1.0 } else { -1.0 }).collect();
            for tokens in [1, 3] {
                let mut bench = Bench { int8: true, ..Bench::default() };
                let (x_id, out) = (bench.state(&x[..tokens * columns]), bench.state(&vec![0.0; tokens * 5]));
                let id = bench.weight(format, columns as u32, &weights.bytes);
                let (columns, rows, accumulate) = (columns as u32, 5, false);
                let command = Command::Matmul(Matmul { x: x_id, weights: id, out, columns, rows, accumulate });
                let expected = Expected::of(&weights, &x[..tokens * weights.columns], &[]);
                for (level, got) in bench.run_everywhere(Step { position: 0, tokens: tokens as u32 }, &command, out) {
                    expected.check(&format!("{} {format} all {fill:#04x}", level.name()), &got);
                }
            }
        }
    }
}

/// Where a block has binary16.
fn scales(format: Format) -> &'static [usize] {
    match format {
        Format::Q4_1 | Format::Q5_1 | Format::Q4_K | Format::Q5_K => &[0, 2],
        Format::Q2_K => &[80, 82],
        Format::Q3_K => &[108],
        Format::Q6_K => &[208],
        Format::TQ2_0 => &[64],
        Format::MXFP4 => &[],
        _ => &[0],
    }
}

#[test]
fn embeddings_are_lifted_from_interleaved_rows() {
    for format in FORMATS {
        let columns = columns(format, 2);
        let table = rows(format, 4, 19 * columns, 0);
        let mut decoded = vec![0.0; 19 * columns];
        quant::decode_row(format, &table, &mut decoded);
        let mut bench = Bench { int8: true, ..Bench::default() };
        let (table_id, ids) = (bench.weight(format, columns as u32, &table), bench.tokens(3));
        let out = bench.state(&vec![1.0; 3 * columns]);
        let command = Command::Embed(Embed { table: table_id, ids, out, columns: columns as u32 });
        let step = Step { position: 0, tokens: 3 };
        // The last group's lanes behind the table are no rows of it.
        let got = bench.run_with(SimdLevel::detect(), Arc::new(Serial), step, &command, out, &[18, 19, 0]);
        assert_eq!(got[..columns], decoded[18 * columns..]);
        assert!(got[columns..2 * columns].iter().all(|number| *number == 0.0));
        assert_eq!(got[2 * columns..], decoded[..columns]);
    }
}

#[test]
fn experts_are_read_alone_whether_or_not_their_rows_are_whole_groups() {
    for rows in [12, 32] {
        let (format, columns, experts) = (Format::Q4_0, 96, 3);
        let weights = Weights::random(5, format, rows * experts, columns, -2);
        let x = numbers(6, 2 * columns, 0);
        let mut bench = Bench { int8: true, ..Bench::default() };
        // Token 0 goes to expert 2, token 1 to expert 0.
        let (x_id, routing) = (bench.state(&x), bench.state(&[2.0, 1.0, 0.0, 1.0]));
        let out = bench.state(&vec![0.0; 2 * rows]);
        let id = bench.weight(format, columns as u32, &weights.bytes);
        let command = Command::ExpertMatvec(ExpertMatvec {
            x: x_id,
            weights: id,
            routing,
            out,
            columns: columns as u32,
            rows: rows as u32,
            experts: experts as u32,
            slots: 1,
            x_shared: false,
        });
        let all = Expected::of(&weights, &x, &[]);
        let picked = |numbers: &[f64]| [&numbers[2 * rows..3 * rows], &numbers[3 * rows..4 * rows]].concat();
        let expected = Expected {
            rounded: picked(if rows == 32 { &all.rounded } else { &all.exact }),
            exact: picked(&all.exact),
            slack: picked(&all.slack),
            magnitudes: picked(&all.magnitudes),
        };
        for (level, got) in bench.run_everywhere(Step { position: 0, tokens: 2 }, &command, out) {
            expected.check(&format!("{}: {rows} rows an expert", level.name()), &got);
        }
    }
}

#[test]
fn a_number_that_is_none_shows_instead_of_being_hidden() {
    let weights = Weights::random(8, Format::Q4_0, 16, 64, 0);
    for level in levels() {
        for number in [f32::NAN, f32::INFINITY] {
            let mut x = vec![1.0; 64];
            x[40] = number;
            let mut bench = Bench { int8: true, ..Bench::default() };
            let (x_id, out) = (bench.state(&x), bench.state(&[0.0; 16]));
            let id = bench.weight(Format::Q4_0, 64, &weights.bytes);
            let matvec = Matvec { x: x_id, weights: id, out, columns: 64, rows: 16, accumulate: false };
            let step = Step { position: 0, tokens: 1 };
            let got = bench.run(level, Arc::new(Serial), step, &Command::Matvec(matvec), out);
            assert!(got.iter().all(|product| !product.is_finite()), "{}: {number} gives {got:?}", level.name());
        }
    }
}
