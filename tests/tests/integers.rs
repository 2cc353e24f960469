//! Products of integers, which round what they multiply: how far off they may be.

use hearth_engine::{
    device::{Device, GpuDevice, GpuOptions},
    kernel::{Matvec, Step},
    model::PlanIndex,
    plan::Command,
    tensor::Format,
};
use hearth_tests::{
    devices::adapters,
    files::fixture_cases,
    kernels::{KernelCase, decode},
    numbers::kl_divergence,
    sessions::{load_on, open},
};

fn step(position: u32) -> Step {
    Step { position, tokens: 1 }
}

/// Products of integers may differ from the exact ones by what rounding 32 numbers to 8 bits can do, and no more: half a
/// step, which is a 127th of the greatest of them, of each number, times its weight.
#[test]
fn products_of_integers_are_as_far_off_as_rounding_explains() {
    let mut changed = 0;
    for (format, rows, columns) in
        [(Format::Q8_0, 37, 96), (Format::Q4_0, 12, 2112), (Format::Q4_K, 9, 768), (Format::Q6_K, 8, 512)]
    {
        let mut case = KernelCase::new(format!("integers, {format}, {rows}, {columns}"), step(0));
        let (x, numbers) = case.numbers(1, columns);
        let (weights, bytes) = case.weight(format, rows, columns);
        let out = case.numbers(1, rows).0;
        case.command(1, Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate: false }));
        let weights = decode(format, columns, &bytes);
        for (adapter, _) in adapters().iter().enumerate() {
            let options = GpuOptions { adapter: Some(adapter), int8: true, ..GpuOptions::default() };
            let mut gpu = Device::Gpu(pollster::block_on(GpuDevice::open(&options)).unwrap());
            let found = case.run_all(&mut gpu, &[out]).unwrap();
            for (row, found) in weights.chunks_exact(columns as usize).zip(&found[0]) {
                let (mut exact, mut bound, mut sizes) = (0.0, 0.0, 0.0);
                for (weights, numbers) in row.chunks_exact(32).zip(numbers.chunks_exact(32)) {
                    let most = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
                    for (weight, number) in weights.iter().zip(numbers) {
                        exact += f64::from(*weight) * f64::from(*number);
                        bound += f64::from(weight.abs()) * f64::from(most) / 254.0;
                        sizes += f64::from(weight.abs()) * f64::from(number.abs());
                    }
                }
                let difference = (f64::from(*found) - exact).abs();
                // A format without such products computes exact ones, but for F32's own rounding.
                let allowed = if format == Format::Q6_K { 0.0 } else { bound } + 1e-5 * sizes;
                assert!(difference <= allowed, "{}: {found}, not {exact} +- {allowed}", case.name);
                changed += usize::from(difference > 1e-5 * sizes);
            }
        }
    }
    assert!(adapters().is_empty() || changed > 0, "nothing was rounded");
}

/// Nats a position that products of integers may cost a tiny model.
const DIVERGENCE_INT8: f64 = 4e-2;

#[test]
fn a_model_with_products_of_integers_says_nearly_the_same() {
    let opened = open("tests/fixtures/tiny-llama-q8_0.gguf");
    let ids = &fixture_cases()["tiny-llama-q8_0"]["words"].ids;
    for (adapter, _) in adapters().iter().enumerate() {
        let [exact, rounded] = [false, true].map(|int8| {
            let options = GpuOptions { adapter: Some(adapter), int8, ..GpuOptions::default() };
            let gpu = pollster::block_on(GpuDevice::open(&options)).unwrap();
            let mut session = load_on(Device::Gpu(gpu), &opened, 128).unwrap();
            let logits = session.model().logits;
            let vocab = u64::from(session.config().vocab_size);
            for (position, id) in ids.iter().enumerate() {
                session.device_mut().run(PlanIndex::Decode as usize, step(position as u32), &[*id]).unwrap();
            }
            pollster::block_on(session.device_mut().read(logits, 0..vocab)).unwrap()
        });
        assert_ne!(exact, rounded, "nothing was rounded");
        let divergence = kl_divergence(&exact, &rounded);
        assert!(divergence <= DIVERGENCE_INT8, "{divergence:e} nats");
    }
}
