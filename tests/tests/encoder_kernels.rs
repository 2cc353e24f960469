//! The kernels of encoders on every device, against their scalar twins and against a reference in float64.

use hearth_engine::{
    kernel::{
        AddRows, Gelu, LayerNorm, Step,
        shader::{add_rows, gelu, layer_norm},
    },
    plan::Command,
};
use hearth_tests::kernels::{Expected, KernelCase, check_everywhere};

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|number| f64::from(*number)).collect()
}

fn layer_norm_case(columns: u32, tokens: u32, mean: f32) -> (KernelCase, Expected) {
    let step = Step { position: 9, tokens };
    let mut case = KernelCase::new(format!("layer_norm {columns} by {tokens} about {mean}"), step);
    let x_numbers: Vec<f32> = case.random.numbers(37 * u64::from(columns)).iter().map(|x| x + mean).collect();
    let x = case.state(37, columns, x_numbers.clone());
    let (weight, weights) = case.numbers(1, columns);
    let (bias, biases) = case.numbers(1, columns);
    let (out, before) = case.numbers(37, columns);
    let params = layer_norm::Params { columns, epsilon: 1e-5 };
    let command = LayerNorm { x, weight, bias, out, params };
    let mut twin = before.clone();
    command.twin(step, &x_numbers, &weights, &biases, &mut twin);
    let mut reference = doubles(&before);
    let mut tolerance = vec![0.0; reference.len()];
    for at in 0..(tokens * columns) as usize {
        let row = doubles(&x_numbers[at / columns as usize * columns as usize..][..columns as usize]);
        let mean = row.iter().sum::<f64>() / f64::from(columns);
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(columns);
        let factor = 1.0 / (variance + f64::from(1e-5_f32)).sqrt();
        let weight = f64::from(weights[at % columns as usize]);
        let bias = f64::from(biases[at % columns as usize]);
        reference[at] = (f64::from(x_numbers[at]) - mean) * factor * weight + bias;
        // Subtracting the mean rounds by so many units of the larger of the two.
        let rounding = (mean.abs() + f64::from(x_numbers[at]).abs() + 1.0) * factor * weight.abs();
        tolerance[at] = 1e-6 * rounding + 3e-6 * (reference[at].abs() + bias.abs());
    }
    case.command(37, Command::LayerNorm(command));
    (case, Expected { out, reference, tolerance, twin })
}

#[test]
fn layer_norm() {
    let shapes = [(4, 1, 0.0), (60, 7, 3.0), (260, 37, -0.5), (384, 5, 40.0), (1028, 3, 0.0)];
    let cases: Vec<_> = shapes.map(|(columns, tokens, mean)| layer_norm_case(columns, tokens, mean)).into();
    check_everywhere(&cases);
}

/// The error function, by its series of positive terms (Abramowitz and Stegun 7.1.6), which loses nothing.
fn erf(z: f64) -> f64 {
    if z.abs() > 6.0 {
        return z.signum();
    }
    let (mut term, mut sum) = (z, 0.0);
    for n in 0..200 {
        sum += term;
        term *= 2.0 * z * z / f64::from(2 * n + 3);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp()
}

fn gelu_of(x: f64, tanh_form: bool) -> f64 {
    let inner = if tanh_form {
        ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()
    } else {
        erf(x / std::f64::consts::SQRT_2)
    };
    0.5 * x * (1.0 + inner)
}

#[test]
fn the_reference_is_the_error_function() {
    // Abramowitz and Stegun, table 7.1.
    for (z, value) in [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0), (3.5, 0.999_999_256_9)] {
        assert!((erf(z) - value).abs() < 1e-10 && (erf(-z) + value).abs() < 1e-10, "{z}: {}", erf(z));
    }
}

#[test]
fn gelu() {
    let mut cases = Vec::new();
    for (columns, tokens) in [(4, 1), (100, 7), (260, 37)] {
        for tanh_form in [false, true] {
            let step = Step { position: 2, tokens };
            let mut case = KernelCase::new(format!("gelu {columns} by {tokens}, tanh {tanh_form}"), step);
            let mut numbers: Vec<f32> = case.random.numbers(37 * u64::from(columns)).iter().map(|x| 2.0 * x).collect();
            // Where the exponential passes what F32 holds, and where nothing may be left of a negative number.
            numbers[..4].copy_from_slice(&[60.0, -60.0, 0.0, -6.0]);
            let x = case.state(37, columns, numbers.clone());
            let (out, before) = case.numbers(37, columns);
            let params = gelu::Params { columns, tanh_form: u32::from(tanh_form) };
            let command = Gelu { x, out, params };
            let mut twin = before.clone();
            command.twin(step, &numbers, &mut twin);
            let mut reference = doubles(&before);
            let mut tolerance = vec![0.0; reference.len()];
            for at in 0..(tokens * columns) as usize {
                let x = f64::from(numbers[at]);
                reference[at] = gelu_of(x, tanh_form);
                // The formula's own error is below 8e-8 |x|; the rest is rounding.
                tolerance[at] = 4e-7 * x.abs() + 1e-9;
            }
            case.command(37, Command::Gelu(command));
            cases.push((case, Expected { out, reference, tolerance, twin }));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn add_rows() {
    let mut cases = Vec::new();
    for (columns, position, tokens) in [(4, 0, 1), (60, 17, 7), (260, 63, 37)] {
        let step = Step { position, tokens };
        let mut case = KernelCase::new(format!("add_rows {columns}, {step:?}"), step);
        let (table, rows) = case.numbers(100, columns);
        let (x, before) = case.numbers(37, columns);
        let command = AddRows { table, x, params: add_rows::Params { columns } };
        let mut twin = before.clone();
        command.twin(step, &rows, &mut twin);
        let mut reference = doubles(&before);
        let mut tolerance = vec![0.0; reference.len()];
        for at in 0..(tokens * columns) as usize {
            reference[at] += f64::from(rows[position as usize * columns as usize + at]);
            tolerance[at] = 1e-7 * (f64::from(before[at]).abs() + reference[at].abs());
        }
        case.command(37, Command::AddRows(command));
        cases.push((case, Expected { out: x, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}
