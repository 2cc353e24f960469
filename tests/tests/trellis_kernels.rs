//! The kernels that read strips, on every device, against their twins and float64. Sizes divide nothing but the 16
//! columns of a tile; the last strip has rows that fill it up.

use hearth_engine::{
    kernel::{Embed, Matmul, Matvec, Step},
    plan::Command,
    quant::trellis::{Code, Codebook},
    tensor::Format,
};
use hearth_tests::kernels::{Expected, KernelCase, check_everywhere, decode_of, matrix_of};

/// Of a sum of products, relative to the sum of their magnitudes: some fifty roundings of 6e-8.
const SUM: f64 = 3e-6;

/// Every codebook, and every width of a window once.
fn codes() -> [Code; 3] {
    let code = |codebook, window_bits| Code::new(codebook, window_bits).unwrap();
    [Code::default(), code(Codebook::Sum6, 14), code(Codebook::Sum7, 12)]
}

fn case(name: String, step: Step, code: Code) -> KernelCase {
    let mut case = KernelCase::new(format!("{name}, {code:?}"), step);
    case.program.code = code;
    case
}

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|number| f64::from(*number)).collect()
}

/// Weights times a vector in float64, with the tolerance of each sum.
fn product(weights: &[f32], x: &[f32], before: &[f32], accumulate: bool) -> (Vec<f64>, Vec<f64>) {
    let rows = weights.chunks_exact(x.len()).zip(before);
    rows.map(|(row, before)| {
        let first = if accumulate { f64::from(*before) } else { 0.0 };
        let products = row.iter().zip(x).map(|(weight, x)| f64::from(*weight) * f64::from(*x));
        let magnitude: f64 = products.clone().map(f64::abs).sum();
        (first + products.sum::<f64>(), SUM * (first.abs() + magnitude) + 1e-7)
    })
    .unzip()
}

fn matvec(format: Format, code: Code, [rows, columns]: [u32; 2], accumulate: bool) -> (KernelCase, Expected) {
    let name = format!("matvec {format} ({rows}, {columns}), accumulate {accumulate}");
    let mut case = case(name, Step { position: 3, tokens: 1 }, code);
    let (weights, bytes) = case.weight(format, rows, columns);
    let (x, x_numbers) = case.numbers(1, columns);
    let (out, before) = case.numbers(1, rows);
    let command = Matvec { x, weights, out, columns, rows, accumulate };
    let matrix = matrix_of(format, columns, &bytes, code);
    let mut twin = before.clone();
    command.twin(&x_numbers, matrix, &mut twin);
    let (reference, tolerance) = product(&decode_of(matrix), &x_numbers, &before, accumulate);
    case.command(1, Command::Matvec(command));
    (case, Expected { out, reference, tolerance, twin })
}

#[test]
fn matvec_of_strips() {
    let mut cases = Vec::new();
    for (nth, format) in Format::TRELLIS.into_iter().enumerate() {
        for (shape, accumulate) in [([1, 16], false), ([37, 112], true), ([50, 1040], false)] {
            cases.push(matvec(format, codes()[nth % 3], shape, accumulate));
        }
    }
    cases.push(matvec(Format::Trellis2, codes()[1], [131, 272], true));
    cases.push(matvec(Format::Trellis4, codes()[2], [16, 4112], false));
    check_everywhere(&cases);
}

#[test]
fn matmul_of_strips() {
    let mut cases = Vec::new();
    for (nth, format) in Format::TRELLIS.into_iter().enumerate() {
        for (tokens, rows, columns) in [(2, 5, 48), (31, 33, 112), (7, 67, 304)] {
            let (code, tokens_max, accumulate) = (codes()[nth % 3], 40, tokens == 31);
            let step = Step { position: 3, tokens };
            let mut case = case(format!("matmul {format} ({rows}, {columns}) by {tokens}"), step, code);
            let (weights, bytes) = case.weight(format, rows, columns);
            let (x, x_numbers) = case.numbers(tokens_max, columns);
            let (out, before) = case.numbers(tokens_max, rows);
            let command = Matmul { x, weights, out, columns, rows, accumulate };
            let matrix = matrix_of(format, columns, &bytes, code);
            let mut twin = before.clone();
            command.twin(step, &x_numbers, matrix, &mut twin);
            let numbers = decode_of(matrix);
            // Beyond the batch nothing may be written.
            let (mut reference, mut tolerance) = (doubles(&before), vec![0.0; before.len()]);
            let batch = x_numbers.chunks_exact(columns as usize).take(tokens as usize);
            for (token, x) in batch.enumerate() {
                let at = token * rows as usize..(token + 1) * rows as usize;
                let (row, slack) = product(&numbers, x, &before[at.clone()], accumulate);
                reference[at.clone()].copy_from_slice(&row);
                tolerance[at].copy_from_slice(&slack);
            }
            case.command(tokens_max, Command::Matmul(command));
            cases.push((case, Expected { out, reference, tolerance, twin }));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn embed_of_strips() {
    let mut cases = Vec::new();
    for (nth, format) in Format::TRELLIS.into_iter().enumerate() {
        let (code, rows, columns, tokens) = (codes()[nth % 3], 131, 112, 9);
        let step = Step { position: 0, tokens };
        let mut case = case(format!("embed {format}"), step, code);
        let (table, bytes) = case.weight(format, rows, columns);
        let ids = case.tokens(tokens);
        let (out, mut twin) = case.numbers(tokens, columns);
        case.ids = (0..tokens).map(|token| token * 17 % rows).collect();
        case.ids[0] = rows - 1;
        let command = Embed { table, ids, out, columns };
        let matrix = matrix_of(format, columns, &bytes, code);
        command.twin(step, matrix, &case.ids, &mut twin);
        let numbers = decode_of(matrix);
        let row = |id: &u32| doubles(&numbers[*id as usize * columns as usize..][..columns as usize]);
        let reference: Vec<f64> = case.ids.iter().flat_map(row).collect();
        let tolerance = vec![0.0; reference.len()];
        case.command(tokens, Command::Embed(command));
        cases.push((case, Expected { out, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}
