//! The kernels of a mixture of experts, and the scaled sum, on every device, against their scalar twins and against a
//! reference in float64.

use hearth_engine::{
    kernel::{
        AddScaled, ExpertMatvec, Mix, Route, Step,
        shader::{add_scaled, mix, route},
    },
    plan::Command,
    tensor::Format,
};
use hearth_tests::kernels::{Expected, KernelCase, check_everywhere, decode, matrix};

/// Of a sum of products, relative to the sum of their magnitudes: some fifty roundings of 6e-8.
const SUM: f64 = 3e-6;
/// Of a few operations in a row, relative to the result; a GPU's `exp` is good to some units.
const POINT: f64 = 3e-6;
/// Below the least normal number of binary16 a GPU may take zero instead.
const F16_SUBNORMAL: f64 = 6.2e-5;
/// The largest batch of the cases.
const TOKENS_MAX: u32 = 37;

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|number| f64::from(*number)).collect()
}

/// Chosen experts for every token, all different, with shares.
fn routing(case: &mut KernelCase, experts: u32, slots: u32) -> Vec<f32> {
    (0..TOKENS_MAX)
        .flat_map(|token| (0..slots).map(move |slot| (token * 5 + slot) % experts))
        .flat_map(|expert| [expert as f32, case.random.numbers(1)[0].abs() + 0.1])
        .collect()
}

fn route_case(experts: u32, slots: u32, renormalise: u32, tokens: u32) -> (KernelCase, Expected) {
    let name = format!("route {slots} of {experts} by {tokens}, renormalise {renormalise}");
    let step = Step { position: 3, tokens };
    let mut case = KernelCase::new(name, step);
    let mut numbers = case.random.numbers(u64::from(TOKENS_MAX * experts));
    // Of two alike the one with the lower number comes first; and a share may be next to nothing.
    numbers[0] = 90.0;
    if experts > 2 {
        numbers[experts as usize - 1] = numbers[1];
    }
    let scores = case.state(TOKENS_MAX, experts, numbers.clone());
    let (out, before) = case.numbers(TOKENS_MAX, 2 * slots);
    let command = Route { scores, out, params: route::Params { experts, slots, renormalise } };
    let mut twin = before.clone();
    command.twin(step, &numbers, &mut twin);
    let mut reference = doubles(&before);
    let mut tolerance = vec![0.0; reference.len()];
    for (token, scores) in numbers.chunks_exact(experts as usize).enumerate().take(tokens as usize) {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        // A stable sort: those alike keep their order.
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let chosen = &order[..slots as usize];
        let weight = |expert: usize| f64::from(scores[expert] - scores[order[0]]).exp();
        let total: f64 = if renormalise == 1 { chosen } else { &order }.iter().map(|expert| weight(*expert)).sum();
        for (slot, expert) in chosen.iter().enumerate() {
            let at = 2 * (token * slots as usize + slot);
            reference[at] = *expert as f64;
            reference[at + 1] = weight(*expert) / total;
            // The difference of two scores rounds by so much, and a share far below 1 by as much of itself.
            let spread = f64::from(scores[order[0]] - scores[*expert]);
            tolerance[at + 1] = (POINT + 3e-7 * spread) * reference[at + 1] + 1e-37;
        }
    }
    case.command(TOKENS_MAX, Command::Route(command));
    (case, Expected { out, reference, tolerance, twin })
}

#[test]
fn route() {
    let mut cases = Vec::new();
    for (experts, slots) in [(1, 1), (8, 3), (60, 4), (128, 8), (256, 16)] {
        for renormalise in [0, 1] {
            cases.push(route_case(experts, slots, renormalise, 7));
        }
    }
    cases.push(route_case(8, 2, 1, TOKENS_MAX));
    check_everywhere(&cases);
}

/// (rows, columns) of each of the experts, of which a token goes to `slots`.
struct Shape {
    experts: u32,
    slots: u32,
    rows: u32,
    columns: u32,
    tokens: u32,
}

fn expert_matvec_case(format: Format, x_shared: bool, shape: &Shape) -> (KernelCase, Expected) {
    let Shape { experts, slots, rows, columns, tokens } = *shape;
    let name =
        format!("expert_matvec {format} {slots} of {experts} ({rows}, {columns}) by {tokens}, shared {x_shared}");
    let step = Step { position: 3, tokens };
    let mut case = KernelCase::new(name, step);
    let (weights, bytes) = case.weight(format, experts * rows, columns);
    let (x, x_numbers) = case.numbers(TOKENS_MAX * if x_shared { 1 } else { slots }, columns);
    let pairs = routing(&mut case, experts, slots);
    let routing = case.state(TOKENS_MAX, 2 * slots, pairs.clone());
    let (out, before) = case.numbers(TOKENS_MAX, slots * rows);
    let command = ExpertMatvec { x, weights, routing, out, columns, rows, experts, slots, x_shared };
    let mut twin = before.clone();
    command.twin(step, &x_numbers, matrix(format, columns, &bytes), &pairs, &mut twin);
    let numbers = decode(format, columns, &bytes);
    let mut reference = doubles(&before);
    let mut tolerance = vec![0.0; reference.len()];
    for pair in 0..(tokens * slots) as usize {
        let expert = pairs[2 * pair] as usize;
        let x_row = if x_shared { pair / slots as usize } else { pair };
        let x = &x_numbers[x_row * columns as usize..][..columns as usize];
        for row in 0..rows as usize {
            let weights = &numbers[(expert * rows as usize + row) * columns as usize..][..columns as usize];
            let products = || weights.iter().zip(x).map(|(weight, x)| f64::from(*weight) * f64::from(*x));
            let at = pair * rows as usize + row;
            reference[at] = products().sum();
            let lost = |(weight, x): (&f32, &f32)| match f64::from(weight.abs()) {
                weight if format == Format::F16 && weight < F16_SUBNORMAL => weight * f64::from(x.abs()),
                _ => 0.0,
            };
            let lost: f64 = weights.iter().zip(x).map(lost).sum();
            tolerance[at] = SUM * products().map(f64::abs).sum::<f64>() + lost;
        }
    }
    case.command(TOKENS_MAX, Command::ExpertMatvec(command));
    (case, Expected { out, reference, tolerance, twin })
}

#[test]
fn expert_matvec() {
    let mut cases = Vec::new();
    let small = Shape { experts: 5, slots: 2, rows: 12, columns: 36, tokens: 7 };
    let wide = Shape { experts: 3, slots: 1, rows: 20, columns: 292, tokens: 1 };
    let blocks = Shape { experts: 9, slots: 4, rows: 12, columns: 288, tokens: TOKENS_MAX };
    let large = Shape { experts: 4, slots: 3, rows: 8, columns: 256, tokens: 3 };
    for x_shared in [true, false] {
        cases.push(expert_matvec_case(Format::F32, x_shared, &small));
        cases.push(expert_matvec_case(Format::F16, x_shared, &wide));
        cases.push(expert_matvec_case(Format::BF16, x_shared, &small));
        cases.push(expert_matvec_case(Format::Q8_0, x_shared, &blocks));
        cases.push(expert_matvec_case(Format::Q4_K, x_shared, &large));
    }
    check_everywhere(&cases);
}

#[test]
fn mix() {
    let mut cases = Vec::new();
    for (columns, slots, tokens) in [(4, 1, 1), (60, 3, 7), (260, 8, TOKENS_MAX)] {
        for accumulate in [0, 1] {
            let step = Step { position: 3, tokens };
            let name = format!("mix {slots} of {columns} by {tokens}, accumulate {accumulate}");
            let mut case = KernelCase::new(name, step);
            let (x, x_numbers) = case.numbers(TOKENS_MAX, slots * columns);
            let pairs = routing(&mut case, 16, slots);
            let routing = case.state(TOKENS_MAX, 2 * slots, pairs.clone());
            let (out, before) = case.numbers(TOKENS_MAX, columns);
            let command = Mix { x, routing, out, params: mix::Params { columns, slots, accumulate } };
            let mut twin = before.clone();
            command.twin(step, &x_numbers, &pairs, &mut twin);
            let mut reference = doubles(&before);
            let mut tolerance = vec![0.0; reference.len()];
            for at in 0..(tokens * columns) as usize {
                let (token, column) = (at / columns as usize, at % columns as usize);
                let terms: Vec<f64> = (token * slots as usize..(token + 1) * slots as usize)
                    .map(|pair| f64::from(pairs[2 * pair + 1]) * f64::from(x_numbers[pair * columns as usize + column]))
                    .chain((accumulate == 1).then_some(reference[at]))
                    .collect();
                reference[at] = terms.iter().sum();
                tolerance[at] = SUM * terms.iter().map(|term| term.abs()).sum::<f64>();
            }
            case.command(TOKENS_MAX, Command::Mix(command));
            cases.push((case, Expected { out, reference, tolerance, twin }));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn add_scaled() {
    let mut cases = Vec::new();
    for (columns, factor, tokens) in [(4, 1.0, 1), (60, 0.22, 7), (260, -3.5, TOKENS_MAX)] {
        let step = Step { position: 3, tokens };
        let mut case = KernelCase::new(format!("add_scaled {columns} by {tokens}, factor {factor}"), step);
        let (x, x_numbers) = case.numbers(TOKENS_MAX, columns);
        let (out, before) = case.numbers(TOKENS_MAX, columns);
        let command = AddScaled { x, out, params: add_scaled::Params { columns, factor } };
        let mut twin = before.clone();
        command.twin(step, &x_numbers, &mut twin);
        let mut reference = doubles(&before);
        let mut tolerance = vec![0.0; reference.len()];
        for at in 0..(tokens * columns) as usize {
            let added = f64::from(factor) * f64::from(x_numbers[at]);
            tolerance[at] = 2e-7 * (added.abs() + reference[at].abs());
            reference[at] += added;
        }
        case.command(TOKENS_MAX, Command::AddScaled(command));
        cases.push((case, Expected { out, reference, tolerance, twin }));
    }
    check_everywhere(&cases);
}
