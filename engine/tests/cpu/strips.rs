//! Products with strips, of a trellis or of levels: one vector in eight bits, everything else in F32.

use hearth_engine::{
    kernel::{Matmul, Matvec},
    quant::{
        strips,
        trellis::{self, Code, Codebook, STRIP_ROWS},
    },
};

use super::{int8::Expected, products::Weights, *};

fn codes() -> [Code; 3] {
    let code = |codebook, window_bits| Code::new(codebook, window_bits).unwrap();
    [Code::default(), code(Codebook::Sum6, 14), code(Codebook::Sum7, 12)]
}

/// Rows of a matrix; those that fill up the last strip have bytes and no numbers.
fn weights(seed: u64, format: Format, code: Code, rows: usize, columns: usize) -> Weights {
    let bits = format.strip_bits().unwrap();
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95) | 1;
    let bytes = blocks::strips(bits, rows, columns, || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    });
    let mut decoded = vec![0.0; rows * columns];
    strips::decode_rows(format, code, &bytes, columns, &mut decoded);
    Weights { format, columns, bytes, numbers: decoded.into_iter().map(f64::from).collect() }
}

fn check(
    seed: u64,
    (format, code): (Format, Code),
    (tokens, rows, columns): (usize, usize, usize),
    accumulate: bool,
    int8: bool,
) {
    let weights = weights(seed, format, code, rows, columns);
    check_of(&weights, code, &numbers(seed + 1, tokens * columns, 0), (tokens, rows), accumulate, int8);
}

fn check_of(weights: &Weights, code: Code, x: &[f32], (tokens, rows): (usize, usize), accumulate: bool, int8: bool) {
    let (format, columns) = (weights.format, weights.columns);
    let before = numbers(3, tokens * rows, 0);
    let mut bench = Bench { int8, ..Bench::default() };
    bench.program.code = code;
    let (x_id, out) = (bench.state(x), bench.state(&before));
    let id = bench.program.declare("weight", TensorKind::Weight(format), rows as u64, columns as u64);
    bench.weights.push((id, weights.bytes.clone()));
    let expected = Expected::of(weights, x, if accumulate { &before } else { &[] });
    let (columns, rows) = (columns as u32, rows as u32);
    let command = if tokens == 1 {
        Command::Matvec(Matvec { x: x_id, weights: id, out, columns, rows, accumulate })
    } else {
        Command::Matmul(Matmul { x: x_id, weights: id, out, columns, rows, accumulate })
    };
    for (level, got) in bench.run_everywhere(Step { position: 0, tokens: tokens as u32 }, &command, out) {
        let what = format!("{} {format} {code:?} {tokens}x{rows}x{columns}, int8 {int8}", level.name());
        if int8 && tokens == 1 && columns.is_multiple_of(32) {
            expected.check(&what, &got);
        } else {
            assert_close(&what, &got, &expected.exact, &expected.magnitudes);
        }
    }
}

#[test]
fn products_are_right_in_every_format() {
    for (nth, format) in Format::STRIPS.into_iter().enumerate() {
        for code in codes() {
            check(1, (format, code), (1, 37, 608), nth % 2 == 0, true);
        }
        let code = codes()[nth % 3];
        check(2, (format, code), (1, 5, 112), false, true);
        check(3, (format, code), (1, 37, 336), false, false);
        check(4, (format, code), (25, 53, 592), true, true);
        check(5, (format, code), (3, 21, 48), false, false);
    }
}

#[test]
fn large_products_are_split_among_workers_without_a_trace() {
    check(6, (Format::Trellis2, Code::default()), (1, 3_001, 512), true, true);
    check(7, (Format::Trellis4, Code::default()), (130, 333, 256), false, true);
    check(8, (Format::Levels2, Code::default()), (1, 3_001, 512), false, true);
}

#[test]
fn the_greatest_sums_do_not_overflow() {
    // The window whose sum of bytes is the greatest, everywhere, and activations at the end of their range.
    let code = Code::default();
    let greatest = (0..=u16::MAX).max_by_key(|window| code.number(*window)).unwrap();
    for (format, columns) in [(Format::Trellis4, 32), (Format::Trellis2, 64)] {
        let mut weights = weights(8, format, code, STRIP_ROWS, columns);
        // Only a pattern that returns after the weight's bits gives every weight a window of its own making: the window
        // again and again, which some weights have whole.
        for tile in weights.bytes[trellis::SCALES_BYTES..].as_chunks_mut::<2>().0 {
            *tile = greatest.to_le_bytes();
        }
        let mut decoded = vec![0.0; STRIP_ROWS * columns];
        strips::decode_rows(format, code, &weights.bytes, columns, &mut decoded);
        weights.numbers = decoded.into_iter().map(f64::from).collect();
        for sign in [1.0, -1.0] {
            check_of(&weights, code, &vec![sign; columns], (1, STRIP_ROWS), false, true);
        }
    }
}

#[test]
fn the_greatest_levels_do_not_overflow() {
    for tile in [0xff, 0x00] {
        let mut weights = weights(9, Format::Levels2, Code::default(), STRIP_ROWS, 64);
        weights.bytes[trellis::SCALES_BYTES..].fill(tile);
        let mut decoded = vec![0.0; STRIP_ROWS * 64];
        strips::decode_rows(Format::Levels2, Code::default(), &weights.bytes, 64, &mut decoded);
        weights.numbers = decoded.into_iter().map(f64::from).collect();
        for sign in [1.0, -1.0] {
            check_of(&weights, Code::default(), &[sign; 64], (1, STRIP_ROWS), false, true);
        }
    }
}
