//! Products and attention of batches in every kernel that computes them, on every GPU, against float64. Sizes are chosen
//! to divide nothing; what each kernel may be off by stands beside it.

use hearth_engine::{
    device::{AttentionKind, CoopTile, Device, GpuDevice, GpuOptions, MatmulKind},
    kernel::{
        Attention, Gated, Matmul, RmsNorm, Step,
        shader::{Kernel, attention::Params, gated, rms_norm},
    },
    plan::{Command, Plan, TensorKind},
    tensor::{Format, KvFormat, TensorId},
};
use hearth_tests::{
    devices::{adapters, split_limit},
    kernels::{KernelCase, decode},
};

/// Of a sum of products in F32, relative to the sum of their magnitudes: some fifty roundings of 6e-8.
const SUM: f64 = 3e-6;
/// The same with both factors rounded to F16: half a unit in the last of 11 bits each.
const HALVES_SUM: f64 = 1.0 / 1024.0 + SUM;
/// Half of F16's least number: what a weight may be off by below its normal numbers.
const HALVES_LEAST: f64 = 3.0e-8;
/// The same for x, relative to the greatest number of its row, which is brought to at least 2^14.
const HALVES_LEAST_OF_ROW: f64 = HALVES_LEAST / 16384.0;

/// One product, and what each kind of kernel may be off by.
struct Product {
    case: KernelCase,
    fits_halves: bool,
    out: TensorId,
    reference: Vec<f64>,
    exact: Vec<f64>,
    halves: Vec<f64>,
}

/// A product in float64, and what it may be off by, in F32 and in F16.
fn expect(numbers: &[f32], x: &[f32], before: &[f32], [tokens, columns]: [u32; 2], accumulate: bool) -> [Vec<f64>; 3] {
    let (mut reference, mut exact, mut halves) = (Vec::new(), Vec::new(), Vec::new());
    let columns = columns as usize;
    let rows = numbers.len() / columns;
    for (token, (x, before)) in x.chunks_exact(columns).zip(before.chunks_exact(rows)).enumerate() {
        let greatest = x.iter().fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
        for (row, before) in numbers.chunks_exact(columns).zip(before) {
            if token >= tokens as usize {
                // Beyond the batch nothing may be written.
                reference.push(f64::from(*before));
                exact.push(0.0);
                halves.push(0.0);
                continue;
            }
            let first = if accumulate { f64::from(*before) } else { 0.0 };
            let products = || row.iter().zip(x).map(|(weight, x)| f64::from(*weight) * f64::from(*x));
            let magnitude = first.abs() + products().map(f64::abs).sum::<f64>();
            let of_x: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
            let of_weights: f64 = row.iter().map(|weight| f64::from(weight.abs())).sum();
            reference.push(first + products().sum::<f64>());
            exact.push(SUM * magnitude + 1e-7);
            let least = HALVES_LEAST * of_x + HALVES_LEAST_OF_ROW * greatest * of_weights;
            halves.push(HALVES_SUM * magnitude + least + 1e-7);
        }
    }
    [reference, exact, halves]
}

/// `scales` are powers of two for the tokens' vectors, in turn.
fn product(format: Format, [tokens, rows, columns]: [u32; 3], accumulate: bool, scales: &[i32]) -> Product {
    let name = format!("matmul {format} ({rows}, {columns}) by {tokens}, accumulate {accumulate}, 2^{scales:?}");
    let tokens_max = tokens + 3;
    let mut case = KernelCase::new(name, Step { position: 3, tokens });
    let (weights, bytes) = case.weight(format, rows, columns);
    let mut x_numbers = case.random.numbers(u64::from(tokens_max) * u64::from(columns));
    for (x, scale) in x_numbers.chunks_exact_mut(columns as usize).zip(scales.iter().cycle()) {
        x.iter_mut().for_each(|x| *x *= 2.0_f32.powi(*scale));
    }
    let x = case.state(tokens_max, columns, x_numbers.clone());
    let (out, before) = case.numbers(tokens_max, rows);
    case.command(tokens_max, Command::Matmul(Matmul { x, weights, out, columns, rows, accumulate }));
    let numbers = decode(format, columns, &bytes);
    let [reference, exact, halves] = expect(&numbers, &x_numbers, &before, [tokens, columns], accumulate);
    let fits_halves = format != Format::F32 && columns % 16 == 0;
    Product { case, fits_halves, out, reference, exact, halves }
}

/// A kind, and which kernel must run then.
const KINDS: [(MatmulKind, Kernel); 7] = [
    (MatmulKind::Plain, Kernel::Matmul),
    (MatmulKind::Tiled { side: 8 }, Kernel::MatmulTiled),
    (MatmulKind::Tiled { side: 16 }, Kernel::MatmulTiled),
    (MatmulKind::Cooperative(CoopTile::SMALL), Kernel::MatmulCoop),
    (MatmulKind::Cooperative(CoopTile::MEDIUM), Kernel::MatmulCoop),
    (MatmulKind::Cooperative(CoopTile::LARGE), Kernel::MatmulCoop),
    (MatmulKind::Cooperative(CoopTile { words: 8, token_tiles: 4, ..CoopTile::MEDIUM }), Kernel::MatmulCoop),
];

fn open(options: GpuOptions) -> GpuDevice {
    pollster::block_on(GpuDevice::open(&options)).expect("it was found before")
}

/// What is too far from the reference, in words.
fn complaint(found: &[f32], reference: &[f64], tolerance: &[f64]) -> Option<String> {
    assert_eq!(found.len(), reference.len());
    let far = |i: &usize| {
        let difference = (f64::from(found[*i]) - reference[*i]).abs();
        difference.is_nan() || difference > tolerance[*i]
    };
    let all: Vec<usize> = (0..found.len()).filter(far).collect();
    let i = *all.first()?;
    Some(format!("{} of {}; at {i}: {}, not {} +- {:e}", all.len(), found.len(), found[i], reference[i], tolerance[i]))
}

/// Runs products in every kind of kernel of every GPU, whole and with matrices split.
fn check(products: &[Product]) {
    let mut complaints = Vec::new();
    for adapter in 0..adapters().len() {
        for (kind, kernel) in KINDS {
            let options = || GpuOptions { adapter: Some(adapter), matmul: Some(kind), ..GpuOptions::default() };
            let device = open(options());
            let is_halves = matches!(kind, MatmulKind::Cooperative(_));
            if is_halves && !device.is_cooperative() {
                continue;
            }
            let mut device = Device::Gpu(device);
            for (nth, product) in products.iter().enumerate() {
                // Every seventh case also in parts: opening a device takes a while.
                let limit = (nth % 7 == 3).then(|| split_limit(&product.case.program));
                let mut split =
                    limit.map(|limit| Device::Gpu(open(GpuOptions { max_binding_bytes: Some(limit), ..options() })));
                for device in [Some(&mut device), split.as_mut()].into_iter().flatten() {
                    let found = product.case.run_all(device, &[product.out]).map(|mut all| all.swap_remove(0));
                    let Device::Gpu(gpu) = device else { continue };
                    let expected = if is_halves && !product.fits_halves { Kernel::Matmul } else { kernel };
                    let kernels = gpu.kernels(0, product.case.step);
                    assert!(kernels.contains(&expected), "{kind:?}, {}: {kernels:?}", product.case.name);
                    let tolerance = if expected == Kernel::MatmulCoop { &product.halves } else { &product.exact };
                    let what = match found {
                        Ok(found) => complaint(&found, &product.reference, tolerance),
                        Err(error) => Some(error.to_string()),
                    };
                    complaints
                        .extend(what.map(|what| format!("{}, {kind:?}, {}: {what}", gpu.name(), product.case.name)));
                }
            }
        }
    }
    let shown = complaints.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(complaints.is_empty(), "{} complaints:\n{shown}", complaints.len());
}

#[test]
fn products_of_every_format() {
    let columns = |format: Format| format.block_elements().max(112).next_multiple_of(format.block_elements()) as u32;
    let case = |(nth, format)| product(format, [37 + nth as u32, 131, 3 * columns(format)], nth % 2 == 0, &[0]);
    check(&Format::ALL.into_iter().enumerate().map(case).collect::<Vec<_>>());
}

#[test]
fn products_of_every_shape() {
    let shapes = [[1, 1, 4], [2, 65, 36], [33, 3, 100], [63, 129, 64], [64, 128, 80], [65, 63, 292], [129, 257, 144]];
    let formats = [Format::F16, Format::BF16].into_iter().cycle();
    let mut cases: Vec<_> =
        shapes.into_iter().zip(formats).map(|(shape, format)| product(format, shape, true, &[0])).collect();
    cases.push(product(Format::Q8_0, [131, 130, 288], false, &[0]));
    cases.push(product(Format::Q4_0, [66, 260, 96], true, &[0]));
    check(&cases);
}

#[test]
fn products_of_vectors_of_any_size() {
    // What F16 could not hold, small and large, side by side.
    let scales = [0, 40, -40, 17, -17, 100, -100];
    check(&[
        product(Format::F16, [37, 67, 112], false, &scales),
        product(Format::Q8_0, [37, 67, 96], false, &scales),
        product(Format::Q4_0, [70, 67, 96], false, &scales),
    ]);
}

#[test]
fn a_row_of_zeros_and_one_with_an_outlier() {
    let mut zeros = product(Format::Q8_0, [5, 33, 96], false, &[-200]);
    // Below what F32 holds, so all zeros.
    zeros.case.name += ", zeros";
    check(&[zeros, product(Format::F16, [40, 33, 16], false, &[120, -120])]);
}

#[test]
fn what_a_norm_or_a_gate_makes_goes_to_products_at_once() {
    let (tokens, rows, columns) = (37, 67, 96);
    let step = Step { position: 3, tokens };
    for is_norm in [true, false] {
        let mut case = KernelCase::new(format!("products behind a norm: {is_norm}"), step);
        let mut commands = Vec::new();
        let (x, x_numbers) = case.numbers(tokens, columns);
        let y = case.program.declare("between", TensorKind::Scratch, tokens.into(), columns.into());
        let mut y_numbers = vec![0.0; x_numbers.len()];
        if is_norm {
            let (weight, weights) = case.numbers(1, columns);
            let params = rms_norm::Params { columns, epsilon: 1e-5, rows: 1 };
            let norm = RmsNorm { x, weight, out: y, single: false, params };
            norm.twin(step, &x_numbers, &weights, &mut y_numbers);
            commands.push(Command::RmsNorm(norm));
        } else {
            let (up, ups) = case.numbers(tokens, columns);
            let gate = Gated { gate: x, up, out: y, params: gated::Params { columns, activation: 1 } };
            gate.twin(step, &x_numbers, &ups, &mut y_numbers);
            commands.push(Command::Gated(gate));
        }
        let mut expected = Vec::new();
        for format in [Format::Q8_0, Format::F16] {
            let (weights, bytes) = case.weight(format, rows, columns);
            let (out, before) = case.numbers(tokens, rows);
            commands.push(Command::Matmul(Matmul { x: y, weights, out, columns, rows, accumulate: true }));
            let numbers = decode(format, columns, &bytes);
            expected.push((out, expect(&numbers, &y_numbers, &before, [tokens, columns], true)));
        }
        case.program.plans.push(Plan { name: case.name.clone(), tokens_max: tokens, commands });
        for adapter in 0..adapters().len() {
            let matmul = Some(MatmulKind::Cooperative(CoopTile::MEDIUM));
            let mut device = Device::Gpu(open(GpuOptions { adapter: Some(adapter), matmul, ..GpuOptions::default() }));
            let outs: Vec<TensorId> = expected.iter().map(|(out, _)| *out).collect();
            let found = case.run_all(&mut device, &outs).unwrap();
            let Device::Gpu(gpu) = &device else { continue };
            let kernels = gpu.kernels(0, step);
            assert_eq!(kernels.len(), 3, "{kernels:?}");
            assert_eq!(kernels[0] == Kernel::ToHalves, gpu.is_cooperative(), "{kernels:?}");
            for (found, (_, [reference, exact, halves])) in found.iter().zip(&expected) {
                // Norm and gate are good to some units themselves.
                let tolerance = if gpu.is_cooperative() { halves } else { exact };
                let tolerance: Vec<f64> = tolerance.iter().map(|tolerance| 2.0 * tolerance).collect();
                assert_eq!(complaint(found, reference, &tolerance), None, "{}, {}", case.name, gpu.name());
            }
        }
    }
}

/// Attention of a batch, and what each kind of kernel may be off by.
struct Batch {
    case: KernelCase,
    out: TensorId,
    reference: Vec<f64>,
    exact: Vec<f64>,
    halves: Vec<f64>,
    head_dim: u32,
}

fn attention(params: Params, position: u32, tokens: u32) -> Batch {
    attention_in(KvFormat::F32, params, position, tokens)
}

fn attention_in(format: KvFormat, params: Params, position: u32, tokens: u32) -> Batch {
    let Params { heads, kv_heads, head_dim, context, .. } = params;
    let tokens_max = tokens + 2;
    let mut case =
        KernelCase::new(format!("{format:?} {params:?} at {position} by {tokens}"), Step { position, tokens });
    let (queries, q) = case.numbers(tokens_max, heads * head_dim);
    let (keys, values) =
        (case.cache(format, kv_heads, head_dim, context), case.cache(format, kv_heads, head_dim, context));
    let (k, v) = (keys.numbers, values.numbers);
    let (out, before) = case.numbers(tokens_max, heads * head_dim);
    case.command(
        tokens_max,
        Command::Attention(Attention { queries, keys: keys.id, values: values.id, format, out, params }),
    );
    let width = head_dim as usize;
    let mut reference: Vec<f64> = before.iter().map(|number| f64::from(*number)).collect();
    let mut exact = vec![0.0; reference.len()];
    let mut halves = exact.clone();
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    for (index, out) in reference.chunks_exact_mut(width).enumerate().take((tokens * heads) as usize) {
        let (token, head) = (index as u32 / heads, index as u32 % heads);
        let first = (head / (heads / kv_heads) * context) as usize;
        let own = (position + token) as usize;
        let end = if params.causal == 1 { own + 1 } else { (position + tokens) as usize };
        let seen = (0..end).filter(|key| params.window == 0 || key + params.window as usize > own);
        let scores: Vec<(usize, f64)> = seen
            .map(|key| {
                let score =
                    dot(&k[(first + key) * width..][..width], &q[index * width..][..width]) * f64::from(params.scale);
                let cap = f64::from(params.softcap);
                (first + key, if cap > 0.0 { cap * (score / cap).tanh() } else { score })
            })
            .collect();
        let highest = scores.iter().fold(f64::NEG_INFINITY, |highest, (_, score)| highest.max(*score));
        let total: f64 = scores.iter().map(|(_, score)| (score - highest).exp()).sum();
        out.fill(0.0);
        for (key, score) in scores {
            let share = (score - highest).exp() / total;
            out.iter_mut().zip(&v[key * width..]).for_each(|(out, value)| *out += share * f64::from(*value));
        }
        // Of the largest of the values that it mixes, which is 1.
        exact[index * width..][..width].fill(1e-5);
        // A product in a score is 1 and off by 4e-4, standard deviations both; shares average over that, and
        // are rounded like values by 2^-11 of themselves.
        let score = 4e-4 * f64::from(head_dim).sqrt() * f64::from(params.scale);
        halves[index * width..][..width].fill(6.0 * score + 2.0 / 1024.0);
    }
    Batch { case, out, reference, exact, halves, head_dim }
}

#[test]
fn attention_in_tiles() {
    let plain = |heads, kv_heads, head_dim, context| {
        let scale = 1.0 / (head_dim as f32).sqrt();
        Params { heads, kv_heads, head_dim, context, scale, softcap: 0.0, window: 0, causal: 1 }
    };
    let small = plain(4, 2, 16, 300);
    let cases = [
        attention(small, 0, 1),
        attention(small, 64, 2),
        attention(small, 0, 33),
        attention(small, 63, 65),
        attention(small, 127, 131),
        attention(plain(3, 3, 20, 200), 70, 37),
        attention(plain(7, 1, 64, 200), 130, 40),
        attention(plain(2, 1, 128, 200), 100, 37),
        attention(plain(2, 2, 256, 150), 60, 40),
        attention(plain(6, 3, 4, 100), 0, 70),
        attention(Params { window: 1, ..small }, 100, 70),
        attention(Params { window: 63, ..small }, 0, 200),
        attention(Params { window: 65, ..small }, 150, 100),
        attention(Params { window: 10, causal: 0, ..small }, 20, 70),
        attention(Params { causal: 0, ..small }, 0, 37),
        attention(Params { softcap: 5.0, scale: 2.0, window: 70, ..small }, 100, 67),
        attention(Params { softcap: 0.5, ..small }, 10, 67),
        attention_in(KvFormat::Int8, small, 63, 65),
        attention_in(KvFormat::Int8, plain(3, 3, 20, 201), 70, 37),
        attention_in(KvFormat::Int8, plain(2, 1, 128, 200), 100, 37),
        attention_in(KvFormat::Int8, plain(2, 2, 256, 150), 60, 40),
        attention_in(KvFormat::Int4, small, 63, 65),
        attention_in(KvFormat::Int4, plain(3, 3, 20, 201), 70, 37),
        attention_in(KvFormat::Int4, plain(2, 1, 128, 200), 100, 37),
        attention_in(KvFormat::Int4, Params { window: 65, ..plain(2, 2, 96, 150) }, 60, 40),
    ];
    let mut complaints = Vec::new();
    let kinds = [(AttentionKind::Tiled, Kernel::AttentionTiled), (AttentionKind::Cooperative, Kernel::AttentionCoop)];
    for (adapter, (kind, kernel)) in (0..adapters().len()).flat_map(|adapter| kinds.map(|kind| (adapter, kind))) {
        let device = open(GpuOptions { adapter: Some(adapter), attention: Some(kind), ..GpuOptions::default() });
        let is_halves = kind == AttentionKind::Cooperative;
        if is_halves && !device.is_cooperative() {
            continue;
        }
        let mut device = Device::Gpu(device);
        for Batch { case, out, reference, exact, halves, head_dim } in &cases {
            if is_halves && (head_dim % 16 != 0 || *head_dim > 128) {
                continue;
            }
            let found = case.run_all(&mut device, &[*out]).unwrap().swap_remove(0);
            let Device::Gpu(gpu) = &device else { continue };
            assert_eq!(gpu.kernels(0, case.step), [kernel], "{}", case.name);
            let tolerance = if is_halves { halves } else { exact };
            let what = complaint(&found, reference, tolerance);
            complaints.extend(what.map(|what| format!("{}, {kind:?}: {what}", case.name)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
