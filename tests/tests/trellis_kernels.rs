//! The kernels that read strips, on every device, against their twins and float64. Sizes divide nothing but the 16
//! columns of a tile; the last strip has rows that fill it up.

use hearth_engine::{
    device::{Device, GpuDevice, GpuOptions},
    kernel::{Embed, Matmul, Matvec, Rotate, Step, shader::rotate},
    plan::Command,
    quant::{
        rotation::signs,
        trellis::{Code, Codebook},
    },
    tensor::Format,
};
use hearth_tests::{
    devices::adapters,
    kernels::{Expected, KernelCase, check_everywhere, decode_of, matrix_of},
};

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
    for (nth, format) in Format::STRIPS.into_iter().enumerate() {
        for (shape, accumulate) in [([1, 16], false), ([37, 112], true), ([50, 1040], false)] {
            cases.push(matvec(format, codes()[nth % 3], shape, accumulate));
        }
    }
    cases.push(matvec(Format::Trellis2, codes()[1], [131, 272], true));
    cases.push(matvec(Format::Trellis4, codes()[2], [16, 4112], false));
    cases.push(matvec(Format::Levels2, codes()[0], [35, 4112], true));
    check_everywhere(&cases);
}

#[test]
fn matmul_of_strips() {
    let mut cases = Vec::new();
    for (nth, format) in Format::STRIPS.into_iter().enumerate() {
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
    for (nth, format) in Format::STRIPS.into_iter().enumerate() {
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

#[test]
fn rotations_of_blocks() {
    let mut cases = Vec::new();
    for (columns, block, undo, single, tokens) in [
        (4, 4, 0, 0, 3),
        (96, 32, 1, 0, 5),
        (640, 128, 0, 1, 4),
        (4096, 4096, 1, 0, 2),
        (3, 1, 0, 0, 2),
        (1536, 512, 0, 0, 1),
    ] {
        let name = format!("rotate {columns} in {block}, undo {undo}, single {single}");
        let step = Step { position: 3, tokens };
        let mut case = case(name, step, Code::default());
        let signs = signs(9, columns as usize);
        let signs_id = case.state(1, columns, signs.clone());
        let (x, mut twin) = case.numbers(6, columns);
        let params = rotate::Params { columns, block, undo, single };
        let command = Rotate { signs: signs_id, x, params };
        let mut reference = doubles(&twin);
        let mut tolerance = vec![0.0; reference.len()];
        let rows = if single == 1 { 1 } else { tokens };
        for block_at in (0..rows * columns).step_by(block as usize) {
            let at = block_at as usize..(block_at + block) as usize;
            let sign = |index: usize| f64::from(signs[(block_at as usize + index) % columns as usize]);
            let before = reference[at.clone()].to_vec();
            for (row, out) in reference[at.clone()].iter_mut().enumerate() {
                let terms = before.iter().enumerate().map(|(column, number)| {
                    let entry = if (row & column).count_ones() % 2 == 0 { 1.0 } else { -1.0 };
                    entry * number * if undo == 1 { sign(row) } else { sign(column) }
                });
                *out = terms.sum::<f64>() / f64::from(block).sqrt();
            }
            let magnitude = before.iter().map(|number| number.abs()).sum::<f64>() / f64::from(block).sqrt();
            tolerance[at].fill(SUM * magnitude + 1e-7);
        }
        command.twin(step, &signs, &mut twin);
        case.command(6, Command::Rotate(command));
        cases.push((case, Expected { out: x, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}

/// What rounding the numbers that a thread meets to 8 bits can do to a product.
#[test]
fn integers_of_strips_are_as_far_off_as_rounding_explains() {
    let mut changed = 0;
    for (format, rows, columns) in [
        (Format::Trellis2, 37, 112),
        (Format::Trellis3, 16, 2064),
        (Format::Trellis6, 20, 16),
        (Format::Levels2, 37, 1040),
    ] {
        let (case, expected) = matvec(format, codes()[1], [rows, columns], false);
        for (adapter, _) in adapters().iter().enumerate() {
            let options = GpuOptions { adapter: Some(adapter), int8: true, ..GpuOptions::default() };
            let mut gpu = Device::Gpu(pollster::block_on(GpuDevice::open(&options)).unwrap());
            let found = case.run_all(&mut gpu, &[expected.out]).unwrap();
            for ((found, exact), tolerance) in found[0].iter().zip(&expected.reference).zip(&expected.tolerance) {
                let difference = (f64::from(*found) - exact).abs();
                // The greatest number is below 3: half a step of a 127th of it, beside numbers of about 0.8.
                let allowed = (tolerance / SUM) / 60.0 + tolerance;
                assert!(difference <= allowed, "{}: {found}, not {exact} +- {allowed}", case.name);
                changed += usize::from(difference > *tolerance);
            }
        }
    }
    assert!(adapters().is_empty() || changed > 0, "nothing was rounded");
}
