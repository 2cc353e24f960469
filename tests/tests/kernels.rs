//! Every kernel on every device, against its scalar twin and against a reference in float64. The tolerances stand
//! beside the cases; sizes are chosen to divide nothing.

use hearth_engine::{
    kernel::{
        AddBias, Embed, Gated, KvWrite, LastRow, Matmul, Matvec, RmsNorm, Rope, Scale, Step, rope_table,
        shader::{add_bias, gated, kv_write, last_row, rms_norm, rope, scale},
    },
    plan::Command,
    tensor::{Format, KvFormat},
};
use hearth_tests::kernels::{Expected, KernelCase, check_everywhere, decode, matrix};

/// Of a sum of products, relative to the sum of their magnitudes: some fifty roundings of 6e-8.
const SUM: f64 = 3e-6;
/// Of a few operations in a row, relative to the result; a GPU's `exp` and `inverseSqrt` are good to some units.
const POINT: f64 = 3e-6;
/// Below the least normal number of binary16 a GPU may take zero instead.
const F16_SUBNORMAL: f64 = 6.2e-5;

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|number| f64::from(*number)).collect()
}

/// Lengths of rows that a format can have: short, crooked, and longer than a workgroup takes at once.
fn columns_of(format: Format) -> &'static [u32] {
    match format.block_elements() {
        1 => &[4, 100, 292],
        32 => &[32, 96, 288],
        _ => &[256, 768],
    }
}

/// Whether a format has the full set of shapes: the first of each kind. The others differ from one of these in how four
/// elements are read and in nothing else, so a few shapes show the same; making pipelines takes most of a case's time.
fn is_thorough(format: Format) -> bool {
    matches!(format, Format::F32 | Format::F16 | Format::BF16 | Format::Q8_0 | Format::Q4_0 | Format::Q4_K)
}

fn matvec(format: Format, rows: u32, columns: u32, accumulate: bool) -> (KernelCase, Expected) {
    let name = format!("matvec {format} ({rows}, {columns}), accumulate {accumulate}");
    let mut case = KernelCase::new(name, Step { position: 3, tokens: 1 });
    let (weights, bytes) = case.weight(format, rows, columns);
    let (x, x_numbers) = case.numbers(1, columns);
    let (out, before) = case.numbers(1, rows);
    let command = Matvec { x, weights, out, columns, rows, accumulate };
    let mut twin = before.clone();
    command.twin(&x_numbers, matrix(format, columns, &bytes), &mut twin);
    let (reference, tolerance) = product(&decode(format, columns, &bytes), &x_numbers, &before, accumulate);
    case.command(1, Command::Matvec(command));
    (case, Expected { out, reference, tolerance, twin })
}

fn matmul(format: Format, tokens: u32, rows: u32, columns: u32, accumulate: bool) -> (KernelCase, Expected) {
    let name = format!("matmul {format} ({rows}, {columns}) by {tokens}, accumulate {accumulate}");
    let tokens_max = 40;
    let step = Step { position: 3, tokens };
    let mut case = KernelCase::new(name, step);
    let (weights, bytes) = case.weight(format, rows, columns);
    let (x, x_numbers) = case.numbers(tokens_max, columns);
    let (out, before) = case.numbers(tokens_max, rows);
    let command = Matmul { x, weights, out, columns, rows, accumulate };
    let mut twin = before.clone();
    command.twin(step, &x_numbers, matrix(format, columns, &bytes), &mut twin);
    let numbers = decode(format, columns, &bytes);
    let (mut reference, mut tolerance) = (Vec::new(), Vec::new());
    for (x, before) in x_numbers.chunks_exact(columns as usize).zip(before.chunks_exact(rows as usize)) {
        if reference.len() < (tokens * rows) as usize {
            let (reference_row, tolerance_row) = product(&numbers, x, before, accumulate);
            reference.extend(reference_row);
            tolerance.extend(tolerance_row);
        } else {
            // Beyond the batch nothing may be written.
            reference.extend(doubles(before));
            tolerance.extend(vec![0.0; before.len()]);
        }
    }
    case.command(tokens_max, Command::Matmul(command));
    (case, Expected { out, reference, tolerance, twin })
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

#[test]
fn matvec_of_every_format() {
    let mut cases = Vec::new();
    for format in Format::ALL {
        let shapes: &[_] = if is_thorough(format) {
            &[(1, false), (3, true), (6, false), (131, true), (1111, false)]
        } else {
            &[(131, true)]
        };
        for (rows, accumulate) in shapes {
            cases.extend(columns_of(format).iter().map(|columns| matvec(format, *rows, *columns, *accumulate)));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn matvec_with_more_rows_than_a_dispatch_has_groups_in_one_dimension() {
    check_everywhere(&[matvec(Format::F16, 262_147, 4, false)]);
}

#[test]
fn matmul_of_every_format() {
    let mut cases = Vec::new();
    for format in Format::ALL {
        let shapes: &[_] = if is_thorough(format) {
            &[(2, 1, false), (7, 33, true), (31, 64, false), (33, 131, true)]
        } else {
            &[(7, 33, true)]
        };
        for (tokens, rows, accumulate) in shapes {
            let columns = columns_of(format).iter();
            cases.extend(columns.map(|columns| matmul(format, *tokens, *rows, *columns, *accumulate)));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn matmul_of_every_batch() {
    let formats = Format::ALL.into_iter().cycle();
    let case = |(tokens, format)| matmul(format, tokens, 37, 64u32.max(format.block_elements() as u32), false);
    let cases: Vec<_> = (1..=37).zip(formats).map(case).collect();
    check_everywhere(&cases);
}

#[test]
fn embed_of_every_format() {
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (rows, &columns) in [131, 5, 1000].into_iter().zip(columns_of(format)) {
            let batches: &[_] = if is_thorough(format) { &[1, 37] } else { &[37] };
            for &tokens in batches {
                let step = Step { position: 0, tokens };
                let mut case = KernelCase::new(format!("embed {format} ({rows}, {columns}) by {tokens}"), step);
                let (table, bytes) = case.weight(format, rows, columns);
                let ids = case.tokens(37);
                let (out, before) = case.numbers(37, columns);
                // The first and the last row, and some between.
                case.ids = (0..tokens).map(|token| (token * (rows - 1)).div_ceil(36.min(rows - 1)) % rows).collect();
                case.ids[0] = rows - 1;
                let command = Embed { table, ids, out, columns };
                let mut twin = before;
                command.twin(step, matrix(format, columns, &bytes), &case.ids, &mut twin);
                let numbers = decode(format, columns, &bytes);
                let mut reference = doubles(&twin);
                for (id, row) in case.ids.iter().zip(reference.chunks_exact_mut(columns as usize)) {
                    row.copy_from_slice(&doubles(&numbers[(id * columns) as usize..][..columns as usize]));
                }
                let subnormal = |value: &f64| if value.abs() < F16_SUBNORMAL { value.abs() } else { 0.0 };
                let tolerance = reference.iter().map(subnormal).collect();
                case.command(37, Command::Embed(command));
                cases.push((case, Expected { out, reference, tolerance, twin }));
            }
        }
    }
    check_everywhere(&cases);
}

#[test]
fn rms_norm() {
    let mut cases = Vec::new();
    let shapes = [(4, 1, 1, false), (60, 1, 7, false), (260, 1, 37, false), (1028, 1, 3, true), (16, 5, 37, false)];
    for (columns, rows, tokens, single) in shapes {
        let step = Step { position: 9, tokens };
        let mut case = KernelCase::new(format!("rms_norm {rows} of {columns} by {tokens}, single {single}"), step);
        let tokens_max = if single { 1 } else { 37 };
        let (x, x_numbers) = case.numbers(tokens_max * rows, columns);
        let (weight, weights) = case.numbers(1, columns);
        let (out, before) = case.numbers(tokens_max * rows, columns);
        let command = RmsNorm { x, weight, out, single, params: rms_norm::Params { columns, epsilon: 1e-5, rows } };
        let mut twin = before.clone();
        command.twin(step, &x_numbers, &weights, &mut twin);
        let mut reference = doubles(&before);
        let mut tolerance = vec![0.0; reference.len()];
        let count = if single { 1 } else { tokens as usize } * (rows * columns) as usize;
        for at in 0..count {
            let row = doubles(&x_numbers[at / columns as usize * columns as usize..][..columns as usize]);
            let mean = row.iter().map(|x| x * x).sum::<f64>() / f64::from(columns);
            let factor = 1.0 / (mean + f64::from(1e-5_f32)).sqrt();
            reference[at] = f64::from(x_numbers[at]) * factor * f64::from(weights[at % columns as usize]);
            tolerance[at] = POINT * reference[at].abs();
        }
        case.command(37, Command::RmsNorm(command));
        cases.push((case, Expected { out, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}

#[test]
fn rope() {
    let mut cases = Vec::new();
    for (heads, head_dim, rotary, interleaved) in [(1, 4, 4, 0), (6, 12, 12, 1), (3, 64, 64, 0), (5, 20, 12, 1)] {
        for (position, tokens) in [(0, 1), (63, 37)] {
            let step = Step { position, tokens };
            let mut case = KernelCase::new(
                format!("rope {heads} heads of {head_dim}, {rotary} turn, interleaved {interleaved}, {step:?}"),
                step,
            );
            let frequencies: Vec<f64> = (0..rotary / 2).map(|pair| 0.7_f64.powi(pair as i32)).collect();
            let numbers = rope_table(100, &frequencies, 1.0);
            let table = case.state(100, rotary, numbers.clone());
            let (x, before) = case.numbers(37, heads * head_dim);
            let command = Rope { table, x, params: rope::Params { heads, head_dim, rotary, interleaved } };
            let mut twin = before.clone();
            command.twin(step, &numbers, &mut twin);
            let mut reference = doubles(&before);
            let mut tolerance = vec![0.0; reference.len()];
            for (vector, numbers) in reference.chunks_exact_mut(head_dim as usize).enumerate() {
                let token = vector as u32 / heads;
                if token >= tokens {
                    break;
                }
                for (pair, frequency) in frequencies.iter().enumerate() {
                    let (sine, cosine) = (f64::from(position + token) * frequency).sin_cos();
                    let half = rotary as usize / 2;
                    let (first, second) = if interleaved == 1 { (2 * pair, 2 * pair + 1) } else { (pair, pair + half) };
                    let (a, b) = (numbers[first], numbers[second]);
                    (numbers[first], numbers[second]) = (a * cosine - b * sine, a * sine + b * cosine);
                    for place in [first, second] {
                        tolerance[vector * head_dim as usize + place] = 3e-7 * (a.abs() + b.abs());
                    }
                }
            }
            case.command(37, Command::Rope(command));
            cases.push((case, Expected { out: x, reference, tolerance, twin }));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn kv_write() {
    let mut cases = Vec::new();
    for (kv_heads, head_dim, position, tokens) in [(1, 4, 0, 1), (3, 12, 17, 7), (2, 64, 63, 37)] {
        let (step, context) = (Step { position, tokens }, 100);
        let mut case = KernelCase::new(format!("kv_write {kv_heads} heads of {head_dim}, {step:?}"), step);
        let (x, numbers) = case.numbers(37, kv_heads * head_dim);
        let (cache, before) = case.numbers(kv_heads * context, head_dim);
        let command =
            KvWrite { x, cache, format: KvFormat::F32, params: kv_write::Params { kv_heads, head_dim, context } };
        let mut twin = before.clone();
        command.twin(step, &numbers, &mut twin);
        let mut reference = doubles(&before);
        for token in 0..tokens {
            for head in 0..kv_heads {
                let from = ((token * kv_heads + head) * head_dim) as usize;
                let to = ((head * context + position + token) * head_dim) as usize;
                let row = doubles(&numbers[from..from + head_dim as usize]);
                reference[to..to + head_dim as usize].copy_from_slice(&row);
            }
        }
        let tolerance = vec![0.0; reference.len()];
        case.command(37, Command::KvWrite(command));
        cases.push((case, Expected { out: cache, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}

#[test]
fn last_row() {
    let mut cases = Vec::new();
    for (columns, tokens) in [(4, 1), (60, 37), (1028, 5)] {
        let step = Step { position: 2, tokens };
        let mut case = KernelCase::new(format!("last_row {columns} by {tokens}"), step);
        let (x, numbers) = case.numbers(37, columns);
        let (out, mut twin) = case.numbers(1, columns);
        let command = LastRow { x, out, params: last_row::Params { columns } };
        command.twin(step, &numbers, &mut twin);
        let reference = doubles(&numbers[((tokens - 1) * columns) as usize..][..columns as usize]);
        let tolerance = vec![0.0; reference.len()];
        case.command(37, Command::LastRow(command));
        cases.push((case, Expected { out, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}

/// A gate in float64; 0 is silu, 1 gelu by tanh.
fn activated(gate: f64, activation: u32) -> f64 {
    let slope = std::f64::consts::FRAC_2_PI.sqrt() * (gate + 0.044_715 * gate.powi(3));
    // Not through tanh: the difference of two numbers near 1 would leave nothing of a small result.
    if activation == 1 { gate / (1.0 + (-2.0 * slope).exp()) } else { gate / (1.0 + (-gate).exp()) }
}

#[test]
fn gated() {
    assert!((activated(1.0, 1) - 0.841_191_990_6).abs() < 1e-9, "as torch computes it");
    let mut cases = Vec::new();
    for (columns, tokens, activation) in [(4, 1, 0), (100, 7, 0), (260, 37, 0), (4, 1, 1), (100, 7, 1), (260, 37, 1)] {
        let step = Step { position: 2, tokens };
        let mut case = KernelCase::new(format!("gated {columns} by {tokens}, activation {activation}"), step);
        let mut gates = case.random.numbers(37 * u64::from(columns));
        // Where the exponential passes what F32 holds.
        gates[..4].copy_from_slice(&[100.0, -100.0, 0.0, -88.0]);
        let gate = case.state(37, columns, gates.clone());
        let (up, ups) = case.numbers(37, columns);
        let (out, before) = case.numbers(37, columns);
        let command = Gated { gate, up, out, params: gated::Params { columns, activation } };
        let mut twin = before.clone();
        command.twin(step, &gates, &ups, &mut twin);
        let mut reference = doubles(&before);
        let mut tolerance = vec![0.0; reference.len()];
        for at in 0..(tokens * columns) as usize {
            reference[at] = activated(f64::from(gates[at]), activation) * f64::from(ups[at]);
            tolerance[at] = POINT * reference[at].abs() + 1e-30;
        }
        case.command(37, Command::Gated(command));
        cases.push((case, Expected { out, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}

#[test]
fn add_bias() {
    let mut cases = Vec::new();
    for (columns, tokens) in [(4, 1), (100, 7), (260, 37)] {
        let step = Step { position: 2, tokens };
        let mut case = KernelCase::new(format!("add_bias {columns} by {tokens}"), step);
        let (bias, biases) = case.numbers(1, columns);
        let (x, before) = case.numbers(37, columns);
        let command = AddBias { bias, x, params: add_bias::Params { columns, single: 0 } };
        let mut twin = before.clone();
        command.twin(step, &biases, &mut twin);
        let mut reference = doubles(&before);
        for (at, reference) in reference.iter_mut().enumerate().take((tokens * columns) as usize) {
            *reference = f64::from(before[at] + biases[at % columns as usize]);
        }
        let tolerance = vec![0.0; reference.len()];
        case.command(37, Command::AddBias(command));
        cases.push((case, Expected { out: x, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}

#[test]
fn scale() {
    let mut cases = Vec::new();
    for (columns, tokens, factor, softcap, single) in
        [(4, 1, 12.0, 0.0, 0), (100, 7, 0.0625, 30.0, 0), (260, 37, 20.0, 30.0, 0), (100, 7, 3.0, 0.0, 1)]
    {
        let step = Step { position: 2, tokens };
        let name = format!("scale {columns} by {tokens}, factor {factor}, softcap {softcap}, single {single}");
        let mut case = KernelCase::new(name, step);
        let (x, before) = case.numbers(37, columns);
        let command = Scale { x, params: scale::Params { columns, factor, softcap, single } };
        let mut twin = before.clone();
        command.twin(step, &mut twin);
        let mut reference = doubles(&before);
        let mut tolerance = vec![0.0; reference.len()];
        let count = if single == 1 { 1 } else { tokens } * columns;
        for (reference, tolerance) in reference.iter_mut().zip(&mut tolerance).take(count as usize) {
            let (value, cap) = (*reference * f64::from(factor), f64::from(softcap));
            *reference = if softcap > 0.0 { cap * (value / cap).tanh() } else { value };
            *tolerance = POINT * reference.abs();
        }
        case.command(37, Command::Scale(command));
        cases.push((case, Expected { out: x, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}
