//! Fused commands on every GPU, against the scalar twins of the commands that they stand for; and how many dispatches a
//! token takes, so that a lost fusion shows.

mod attention;

use hearth_engine::{
    device::{Device, GpuDevice, GpuOptions},
    kernel::{
        AddBias, AddScaled, Gated, KvWrite, Matvec, RmsNorm, Scale, Step,
        shader::{add_bias, add_scaled, gated, rms_norm, scale},
    },
    plan::{Command, Fused, Fusion, Plan},
    tensor::{Format, KvFormat, TensorId},
};
use hearth_tests::{
    devices::{Candidate, adapters, split_limit},
    kernels::{KernelCase, unpacked},
    numbers::relative_difference,
    sessions::{load_on, open},
};

/// Of the largest number of a result. Sums of a few hundred products in another order, twice in a row.
const RELATIVE: f64 = 2e-5;

/// The same with keys and values rounded, by their format: a number that lies in the middle of two steps may go to either,
/// and a scale to the next.
const ROUNDED: [f64; 3] = [RELATIVE, 4e-3, 7e-2];

const EPSILON: f32 = 1e-5;

fn step(position: u32) -> Step {
    Step { position, tokens: 1 }
}

fn norm(x: TensorId, weight: TensorId, out: TensorId, rows: u32, columns: u32) -> Command {
    let params = rms_norm::Params { columns, epsilon: EPSILON, rows };
    Command::RmsNorm(RmsNorm { x, weight, out, single: false, params })
}

fn matvec(x: TensorId, weights: TensorId, out: TensorId, [rows, columns]: [u32; 2], accumulate: bool) -> Command {
    Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate })
}

/// Ways to open a GPU.
fn options() -> Vec<(String, GpuOptions)> {
    let mut all = Vec::new();
    for (adapter, report) in adapters().iter().enumerate() {
        let has_subgroups = report.features.iter().any(|feature| feature == "subgroups");
        for subgroups in [true, false].into_iter().filter(|wanted| has_subgroups || !wanted) {
            for attention_splits in [None, Some(1), Some(3)] {
                let wide = attention_splits.map(|splits| splits == 1);
                let name =
                    format!("{}, subgroups {subgroups}, splits {attention_splits:?}, wide {wide:?}", report.name);
                all.push((
                    name,
                    GpuOptions {
                        adapter: Some(adapter),
                        subgroups: Some(subgroups),
                        attention_splits,
                        attention_threads: attention_splits.map(|splits| 64 * splits),
                        matvec_threads: attention_splits.map(|splits| 32 * splits),
                        wide,
                        ..GpuOptions::default()
                    },
                ));
            }
        }
    }
    all
}

/// A case, what to look at, and how many dispatches it should take if nothing is split.
type Case = (KernelCase, Vec<TensorId>, usize);

/// Runs cases on a CPU and on every GPU, once with a binding limit that forbids fused matrices; what comes out must be the
/// same, and nearly all of it must be fused.
fn check(cases: &[Case]) {
    let mut cpu = Candidate::all()[0].open_limited(None);
    let mut expected = Vec::new();
    for (case, outs, dispatches) in cases {
        let blocks = &Fusion::of(&case.program, &|_, _| true).plans[0];
        let count: usize = blocks.iter().map(|block| block.fused.len()).sum();
        assert_eq!(count, *dispatches, "{}: {blocks:?}", case.name);
        expected.push(case.run_all(&mut cpu, outs).unwrap());
    }
    let open = |options: &GpuOptions| Device::Gpu(pollster::block_on(GpuDevice::open(options)).unwrap());
    for (nth, (name, options)) in options().into_iter().enumerate() {
        let mut gpu = open(&options);
        for ((case, outs, _), expected) in cases.iter().zip(&expected) {
            compare(case, outs, &name, &mut gpu, expected);
            if nth == 0 {
                // Four rows of the smallest matrices are the least that a part can hold.
                let max_binding_bytes = Some(split_limit(&case.program).max(512));
                let mut gpu = open(&GpuOptions { max_binding_bytes, ..options.clone() });
                compare(case, outs, &format!("{name}, limit {max_binding_bytes:?}"), &mut gpu, expected);
            }
        }
    }
}

fn compare(case: &KernelCase, outs: &[TensorId], name: &str, gpu: &mut Device, expected: &[Vec<f32>]) {
    let found = case.run_all(gpu, outs).unwrap_or_else(|error| panic!("{}, {name}: {error}", case.name));
    let writes = || {
        case.program.plans[0].commands.iter().filter_map(|command| match command {
            Command::KvWrite(write) => Some(write),
            _ => None,
        })
    };
    let format = writes().next().map_or(KvFormat::F32, |write| write.format);
    for ((found, expected), out) in found.iter().zip(expected).zip(outs) {
        let cache = writes().find(|write| write.cache == *out).map(KvWrite::layout);
        let (difference, most) = match (cache.filter(|_| format != KvFormat::F32), format) {
            (None, KvFormat::F32) => (relative_difference(found, expected), RELATIVE),
            (None, _) => (relative_difference(found, expected), ROUNDED[format as usize]),
            (Some(layout), _) => {
                let [found, expected] = [found, expected].map(|stored| unpacked(layout, stored));
                let others = found.iter().zip(&expected).filter(|(found, expected)| found != expected).count();
                assert!(others <= layout.head_dim * 2, "{}, {name}, %{}: {others} others", case.name, out.0);
                (relative_difference(&found, &expected), 2.0 * ROUNDED[format as usize])
            }
        };
        assert!(difference <= most, "{}, {name}, %{}: {difference:e}", case.name, out.0);
    }
}

#[test]
fn feed_forward_blocks_are_two_dispatches() {
    let mut cases = Vec::new();
    for (format, hidden, width, activation) in [
        (Format::Q8_0, 96, 160, 0),
        (Format::Q4_0, 288, 68, 1),
        (Format::F32, 20, 12, 0),
        (Format::Q4_K, 256, 512, 1),
        (Format::Trellis2, 272, 48, 1),
        (Format::Trellis5, 4112, 16, 0),
        (Format::Levels2, 272, 48, 1),
        (Format::Levels2, 2064, 16, 0),
    ] {
        let mut case = KernelCase::new(format!("{format:?} {hidden} {width} {activation}"), step(3));
        let stream = case.numbers(1, hidden).0;
        let [normed, gate, up, activated] = [hidden, width, width, width].map(|columns| case.scratch(columns));
        let mut commands = vec![norm(stream, case.numbers(1, hidden).0, normed, 1, hidden)];
        for out in [gate, up] {
            commands.push(matvec(normed, case.weight(format, width, hidden).0, out, [width, hidden], false));
            if activation == 1 {
                let bias = case.numbers(1, width).0;
                commands.push(Command::AddBias(AddBias {
                    bias,
                    x: out,
                    params: add_bias::Params { columns: width, single: 0 },
                }));
            }
        }
        let params = gated::Params { columns: width, activation };
        commands.push(Command::Gated(Gated { gate, up, out: activated, params }));
        commands.push(matvec(activated, case.weight(Format::F32, hidden, width).0, stream, [hidden, width], true));
        case.program.plans.push(Plan { name: "feed-forward".into(), tokens_max: 1, commands });
        cases.push((case, vec![stream], 2));
    }
    check(&cases);
}

/// From one product to the next: a product that is added to the stream, the norm, and products of several formats, the
/// last of which is added to the stream again.
fn handed_case(columns: u32, format: Format, scaled: bool, dispatches: usize) -> Case {
    let mut case = KernelCase::new(format!("handed on: {columns} in {format:?}, {scaled}"), step(3));
    let giver = match format {
        Format::Levels2 => Format::Levels2,
        _ if format.strip_bits().is_some() => Format::Trellis4,
        _ => Format::Q8_0,
    };
    let (x, stream) = (case.numbers(1, 64).0, case.numbers(1, columns).0);
    let [product, normed] = [columns, columns].map(|columns| case.scratch(columns));
    let mut commands = Vec::new();
    if scaled {
        let params = add_scaled::Params { columns, factor: 0.25 };
        commands.push(matvec(x, case.weight(giver, columns, 64).0, product, [columns, 64], false));
        let (bias, params_of_bias) = (case.numbers(1, columns).0, add_bias::Params { columns, single: 0 });
        commands.push(Command::AddBias(AddBias { bias, x: product, params: params_of_bias }));
        commands.push(Command::AddScaled(AddScaled { x: product, out: stream, params }));
    } else {
        commands.push(matvec(x, case.weight(giver, columns, 64).0, stream, [columns, 64], true));
    }
    commands.push(norm(stream, case.numbers(1, columns).0, normed, 1, columns));
    let (gate, up, activated) = (case.scratch(160), case.scratch(160), case.scratch(160));
    for out in [gate, up] {
        commands.push(matvec(normed, case.weight(format, 160, columns).0, out, [160, columns], false));
    }
    let params = gated::Params { columns: 160, activation: 0 };
    commands.push(Command::Gated(Gated { gate, up, out: activated, params }));
    commands.push(matvec(activated, case.weight(giver, columns, 160).0, stream, [columns, 160], true));
    let (last, logits) = (case.scratch(columns), case.numbers(1, 37).0);
    commands.push(norm(stream, case.numbers(1, columns).0, last, 1, columns));
    commands.push(matvec(last, case.weight(format, 37, columns).0, logits, [37, columns], false));
    case.program.plans.push(Plan { name: "handed on".into(), tokens_max: 1, commands });
    (case, vec![stream, logits], dispatches)
}

#[test]
fn sums_are_handed_on_to_the_next_product() {
    let cases = [
        handed_case(96, Format::Q8_0, false, 4),
        handed_case(2080, Format::Q4_0, true, 4),
        handed_case(256, Format::Q4_K, false, 4),
        handed_case(20, Format::F32, true, 4),
        handed_case(112, Format::Trellis2, false, 4),
        handed_case(4112, Format::Trellis5, true, 4),
        handed_case(2064, Format::Levels2, true, 4),
    ];
    for (case, ..) in &cases {
        let blocks = &Fusion::of(&case.program, &|_, _| true).plans[0];
        let matvecs = blocks.iter().flat_map(|block| &block.fused).filter_map(|fused| match fused {
            Fused::Matvec(matvec) => Some(matvec),
            _ => None,
        });
        let (mut given, mut taken) = (0, 0);
        for matvec in matvecs {
            given += usize::from(matvec.hands_on.is_some());
            taken += usize::from(matvec.norm.is_some_and(|norm| norm.is_handed));
        }
        let wanted = if case.name.contains("20 in F32") { 0 } else { 2 };
        assert_eq!((given, taken), (wanted, wanted), "{}", case.name);
    }
    check(&cases);
}

#[test]
fn what_follows_a_product_is_done_with_it() {
    let mut cases = Vec::new();
    for (rows, columns) in [(8, 32), (37, 96), (260, 288)] {
        for (kind, format) in
            (0..4).flat_map(|kind| [(kind, Format::Q8_0), (kind, Format::Trellis3), (kind, Format::Levels2)])
        {
            let mut case = KernelCase::new(format!("{format} ({rows}, {columns}), {kind}"), step(3));
            let (x, normed, product) = (case.numbers(1, columns).0, case.scratch(columns), case.scratch(rows));
            let weights = case.weight(format, rows, columns).0;
            let out = case.numbers(1, rows).0;
            let mut commands = vec![norm(x, case.numbers(1, columns).0, normed, 1, columns)];
            let bias = Command::AddBias(AddBias {
                bias: case.numbers(1, rows).0,
                x: if kind == 1 { product } else { out },
                params: add_bias::Params { columns: rows, single: 0 },
            });
            match kind {
                0 => commands.extend([matvec(normed, weights, out, [rows, columns], true), bias]),
                1 => {
                    let params = add_scaled::Params { columns: rows, factor: 0.25 };
                    commands.extend([matvec(normed, weights, product, [rows, columns], false), bias]);
                    commands.push(Command::AddScaled(AddScaled { x: product, out, params }));
                }
                _ => {
                    let softcap = if kind == 2 { 0.0 } else { 30.0 };
                    let params = scale::Params { columns: rows, factor: 0.125, softcap, single: 1 };
                    commands.push(matvec(normed, weights, out, [rows, columns], false));
                    commands.push(Command::Scale(Scale { x: out, params }));
                }
            }
            // Four numbers at a time: a bias or a sum of another length is no command that is recorded.
            if rows % 4 != 0 && kind < 2 {
                continue;
            }
            case.program.plans.push(Plan { name: "product".into(), tokens_max: 1, commands });
            cases.push((case, vec![out], 1));
        }
    }
    check(&cases);
}

#[test]
fn a_normed_branch_is_added_at_once() {
    let mut cases = Vec::new();
    for columns in [4, 100, 2052] {
        let mut case = KernelCase::new(format!("norm and addition of {columns}"), step(1));
        let (x, normed, out) = (case.numbers(1, columns).0, case.scratch(columns), case.numbers(1, columns).0);
        let params = add_scaled::Params { columns, factor: 0.5 };
        let norm = norm(x, case.numbers(1, columns).0, normed, 1, columns);
        let commands = vec![norm, Command::AddScaled(AddScaled { x: normed, out, params })];
        case.program.plans.push(Plan { name: "post-norm".into(), tokens_max: 1, commands });
        cases.push((case, vec![out], 1));
    }
    check(&cases);
}

#[test]
fn a_norm_that_others_read_too_stays() {
    let mut case = KernelCase::new("two readers".into(), step(0));
    let (x, normed) = (case.numbers(1, 32).0, case.scratch(32));
    let weight = case.numbers(1, 32).0;
    let (first, second) = (case.numbers(1, 8).0, case.numbers(1, 32).0);
    let commands = vec![
        norm(x, weight, normed, 1, 32),
        matvec(normed, case.weight(Format::Q8_0, 8, 32).0, first, [8, 32], false),
        Command::AddScaled(AddScaled {
            x: normed,
            out: second,
            params: add_scaled::Params { columns: 32, factor: 2.0 },
        }),
    ];
    case.program.plans.push(Plan { name: "shared norm".into(), tokens_max: 1, commands });
    let blocks = &Fusion::of(&case.program, &|_, _| true).plans[0];
    assert_eq!(blocks[0].fused, [Fused::Single(0)]);
    check(&[(case, vec![first, second], 3)]);
}

/// Dispatches of a decoding step at a position, with and without fusion, and how many layers there are.
fn dispatches(path: &str, position: u32) -> ([usize; 2], usize) {
    let opened = open(path);
    let mut layers = 0;
    let counts = [true, false].map(|fused| {
        let options = GpuOptions { fused: Some(fused), ..GpuOptions::default() };
        let gpu = pollster::block_on(GpuDevice::open(&options)).unwrap();
        let session = load_on(Device::Gpu(gpu), &opened, 2048).unwrap();
        layers = session.config().layers as usize;
        let Device::Gpu(gpu) = session.device() else { panic!("it was opened as a GPU") };
        gpu.kernels(0, step(position)).len()
    });
    (counts, layers)
}

#[test]
fn a_token_takes_few_dispatches() {
    if adapters().is_empty() {
        return;
    }
    // Five a layer, and embedding and head; where the context is cut, six.
    assert_eq!(dispatches("models/hearth-tiny", 100), ([5 * 12 + 2, 15 * 12 + 3], 12));
    assert_eq!(dispatches("models/hearth-tiny", 511), ([6 * 12 + 2, 15 * 12 + 3], 12));
    assert_eq!(dispatches("models/hearth-tiny", 1500), ([6 * 12 + 2, 15 * 12 + 3], 12));
    for (name, fused_max) in [
        ("llama3", 5),
        ("mistral", 5),
        ("olmo3", 7),
        ("olmoe", 11),
        ("qwen2", 5),
        ("qwen3", 5),
        ("phi3", 5),
        ("smollm3", 5),
        ("granite", 5),
        ("olmo2", 7),
        ("gemma2", 7),
        ("gemma3", 7),
        ("qwen3_moe", 11),
    ] {
        let ([fused, plain], layers) = dispatches(&format!("tests/fixtures/architectures/{name}"), 100);
        assert!(fused <= fused_max * layers + 3, "{name}: {fused} of {plain} dispatches for {layers} layers");
    }
}
