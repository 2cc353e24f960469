//! Rounding with a Hessian, against its own definition in F64.

use hearth_engine::{
    device::Serial,
    quant::{
        decode_row, encode_row, strips,
        trellis::{Code, Codebook, decode_rows},
    },
    tensor::Format,
};
use hearth_quantizer::{
    linear::{Feedback, Hessian, Rounded, Rounding, quantize, quantize_levels2, quantize_q4_0},
    random::Random,
    trellis::Trellis,
};

const ROWS: usize = 40;
const COLUMNS: usize = 144;

/// Inputs that say the same in many columns: a few causes, mixed, and some noise.
fn inputs(tokens: usize) -> Vec<f32> {
    let mut random = Random::new(5);
    let mixture: Vec<[f64; 12]> = (0..COLUMNS).map(|_| std::array::from_fn(|_| random.normal())).collect();
    let mut x = Vec::new();
    for _ in 0..tokens {
        let causes: [f64; 12] = std::array::from_fn(|_| random.normal());
        x.extend(mixture.iter().map(|mixed| {
            (mixed.iter().zip(causes).map(|(mixed, cause)| mixed * cause).sum::<f64>() + 0.5 * random.normal()) as f32
        }));
    }
    x
}

fn weights() -> Vec<f32> {
    let mut random = Random::new(6);
    (0..ROWS * COLUMNS).map(|at| (random.normal() * (1 + at / COLUMNS) as f64 * 0.01) as f32).collect()
}

fn rounded(hessian: &Hessian, feedback: &Feedback, bits: u32) -> Rounded {
    let trellis = Trellis::new(bits, Code::new(Codebook::Sum7, 12).unwrap()).unwrap();
    let rounding =
        Rounding { trellis: &trellis, hessian, feedback, encoder: None, tries_scales: true, is_cancelled: &|| false };
    quantize(&Serial, &rounding, &weights()).unwrap()
}

/// `tr(E H E^T) / tr(W H W^T)`, straight from the inputs: mean squares of what a layer gives.
fn error_on(x: &[f32], found: &[f32]) -> f64 {
    let (mut error, mut whole) = (0.0, 0.0);
    for x in x.chunks_exact(COLUMNS) {
        for (weights, found) in weights().chunks_exact(COLUMNS).zip(found.chunks_exact(COLUMNS)) {
            let dot = |row: &mut dyn Iterator<Item = f64>| -> f64 { row.zip(x).map(|(w, x)| w * f64::from(*x)).sum() };
            let given = dot(&mut weights.iter().map(|weight| f64::from(*weight)));
            let apart = dot(&mut weights.iter().zip(found).map(|(w, f)| f64::from(*w) - f64::from(*f)));
            (error, whole) = (error + apart * apart, whole + given * given);
        }
    }
    error / whole
}

#[test]
fn making_errors_good_leaves_half_of_them_where_inputs_go_together() {
    let x = inputs(600);
    let mut hessian = Hessian::new(COLUMNS);
    for x in x.chunks(100 * COLUMNS) {
        hessian.add(&Serial, x);
    }
    let with = rounded(&hessian, &Feedback::new(&Serial, &hessian, 0.01), 3);
    let without = rounded(&hessian, &Feedback::none(COLUMNS), 3);
    assert!(with.error < 0.5 * without.error, "{} and {}", with.error, without.error);
    for found in [&with, &without] {
        let measured = error_on(&x, &found.decoded);
        assert!((found.error - measured).abs() < 1e-3 * measured, "{} is told, {measured} measured", found.error);
    }
}

#[test]
fn what_is_stored_is_what_it_is_said_to_stand_for() {
    let mut hessian = Hessian::new(COLUMNS);
    hessian.add(&Serial, &inputs(200));
    let feedback = Feedback::new(&Serial, &hessian, 0.01);
    for bits in 2..=6 {
        let found = rounded(&hessian, &feedback, bits);
        let mut decoded = vec![0.0; ROWS * COLUMNS];
        decode_rows(bits, Code::new(Codebook::Sum7, 12).unwrap(), &found.stored, COLUMNS, &mut decoded);
        assert_eq!(found.decoded, decoded, "{bits} bits");
    }
}

#[test]
fn each_bit_leaves_about_a_quarter_of_the_error() {
    let mut hessian = Hessian::new(COLUMNS);
    hessian.add(&Serial, &inputs(200));
    let feedback = Feedback::new(&Serial, &hessian, 0.01);
    let errors: Vec<f64> = (2..=5).map(|bits| rounded(&hessian, &feedback, bits).error).collect();
    for pair in errors.windows(2) {
        let left = pair[1] / pair[0];
        assert!((0.15..0.4).contains(&left), "{errors:?}");
    }
}

#[test]
fn blocks_of_nibbles_are_made_good_column_by_column() {
    // 144 columns are no whole number of blocks.
    let columns = COLUMNS - 16;
    let x: Vec<f32> = inputs(600).chunks_exact(COLUMNS).flat_map(|x| x[..columns].to_vec()).collect();
    let matrix: Vec<f32> = weights().chunks_exact(COLUMNS).flat_map(|row| row[..columns].to_vec()).collect();
    let mut hessian = Hessian::new(columns);
    hessian.add(&Serial, &x);
    let round = |feedback: &Feedback| quantize_q4_0(&Serial, &hessian, feedback, &|| false, &matrix).unwrap();
    let with = round(&Feedback::of_columns(&Serial, &hessian, 0.01));
    let without = round(&Feedback::none(columns));
    assert!(with.error < 0.4 * without.error, "{} and {}", with.error, without.error);
    assert_eq!(with.stored.len(), ROWS * columns / 32 * 18);
    // GGML's own rounding, which knows nothing of the inputs.
    let plain = encode_row(Format::Q4_0, &matrix).unwrap();
    let mut decoded = vec![0.0; matrix.len()];
    decode_row(Format::Q4_0, &plain, &mut decoded);
    let apart = |found: &[f32]| matrix.iter().zip(found).map(|(w, f)| f64::from(w - f).powi(2)).sum::<f64>();
    assert!(apart(&without.decoded) < apart(&decoded), "scales are chosen no worse");
}

#[test]
fn levels_are_made_good_column_by_column() {
    let x = inputs(600);
    let mut hessian = Hessian::new(COLUMNS);
    hessian.add(&Serial, &x);
    let round = |feedback: &Feedback, tries_scales: bool| {
        quantize_levels2(&Serial, &hessian, feedback, tries_scales, &|| false, &weights()).unwrap()
    };
    let with = round(&Feedback::of_columns(&Serial, &hessian, 0.01), true);
    let without = round(&Feedback::none(COLUMNS), false);
    assert!(with.error < 0.5 * without.error, "{} and {}", with.error, without.error);
    for found in [&with, &without] {
        let measured = error_on(&x, &found.decoded);
        assert!((found.error - measured).abs() < 1e-3 * measured, "{} is told, {measured} measured", found.error);
        let mut decoded = vec![0.0; ROWS * COLUMNS];
        strips::decode_rows(Format::Levels2, Code::default(), &found.stored, COLUMNS, &mut decoded);
        assert_eq!(found.decoded, decoded);
    }
    assert_eq!(quantize_levels2(&Serial, &hessian, &Feedback::none(COLUMNS), true, &|| true, &weights()), None);
}

#[test]
fn levels_hold_a_gaussian_source_as_well_as_four_levels_can() {
    let mut random = Random::new(11);
    let (rows, columns) = (64, 1024);
    let weights: Vec<f32> = (0..rows * columns).map(|_| random.normal() as f32).collect();
    let hessian = Hessian::identity(columns);
    let feedback = Feedback::none(columns);
    let found = quantize_levels2(&Serial, &hessian, &feedback, false, &|| false, &weights).unwrap();
    // Max 1960, table II: 0.1188, of which so many numbers tell three digits.
    assert!((found.error - 0.1188).abs() < 0.0015, "{}", found.error);
}

#[test]
fn inputs_that_say_nothing_do_no_harm() {
    for value in [0.0, f32::NAN, f32::INFINITY] {
        let mut hessian = Hessian::new(COLUMNS);
        hessian.add(&Serial, &vec![value; 4 * COLUMNS]);
        let found = rounded(&hessian, &Feedback::new(&Serial, &hessian, 0.01), 4);
        let apart: f32 = weights().iter().zip(&found.decoded).map(|(w, f)| (w - f).powi(2)).sum();
        let whole: f32 = weights().iter().map(|w| w.powi(2)).sum();
        assert!(apart < 0.01 * whole, "{value}: {apart} of {whole}");
    }
}

#[test]
fn one_that_is_cancelled_gives_nothing() {
    let trellis = Trellis::new(2, Code::new(Codebook::Sum7, 12).unwrap()).unwrap();
    let (hessian, feedback) = (Hessian::new(COLUMNS), Feedback::none(COLUMNS));
    let (hessian, feedback) = (&hessian, &feedback);
    let rounding =
        Rounding { trellis: &trellis, hessian, feedback, encoder: None, tries_scales: false, is_cancelled: &|| true };
    assert_eq!(quantize(&Serial, &rounding, &weights()), None);
}
