//! What the device refuses, and how.

use hearth_engine::{
    Error,
    kernel::{Attention, Gated, KvWrite, Matvec, shader},
    tensor::KvFormat,
};

use super::*;

fn device() -> CpuDevice {
    CpuDevice::new(Arc::new(Serial))
}

fn fault(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::DeviceFault { reason }) => reason,
        other => panic!("{other:?} is no fault"),
    }
}

fn plan(tokens_max: u32, command: Command) -> Plan {
    Plan { name: "test".into(), tokens_max, commands: vec![command] }
}

#[test]
fn a_name_says_what_computes() {
    let device = CpuDevice::with_simd(Arc::new(Threads(2)), SimdLevel::Scalar);
    assert_eq!(device.name(), "CPU scalar, 2 threads");
    let device = CpuDevice::with_simd(Arc::new(Serial), SimdLevel::detect());
    assert_eq!(device.name(), format!("CPU {}, 1 thread", SimdLevel::detect().name()));
}

#[test]
fn an_instruction_set_that_is_not_there_is_not_used() {
    for level in SimdLevel::ALL.into_iter().filter(|level| !level.is_available()) {
        let device = CpuDevice::with_simd(Arc::new(Serial), level);
        assert_eq!(device.name(), "CPU scalar, 1 thread");
    }
}

#[test]
fn more_memory_than_there_is_is_refused_with_both_numbers() {
    let mut program = Program::default();
    program.declare("the cache", TensorKind::State, 1 << 40, 1 << 15);
    let Err(Error::OutOfMemory { what, requested_bytes, available_bytes }) = device().prepare(&program) else {
        panic!("128 PiB were granted");
    };
    assert_eq!((what.as_str(), requested_bytes), ("the cache", 1 << 57));
    assert!(available_bytes < requested_bytes);
    // A product that does not even fit the number is refused too.
    program.declare("worse", TensorKind::State, 1 << 40, 1 << 40);
    assert!(fault(device().prepare(&program)).contains("worse"));
}

#[test]
fn uploads_and_reads_keep_to_their_tensors() {
    let mut program = Program::default();
    let weight = program.declare("weight", TensorKind::Weight(Format::Q8_0), 3, 64);
    let state = program.declare("state", TensorKind::State, 2, 8);
    let mut device = device();
    device.prepare(&program).unwrap();
    device.upload(weight, 1..3, &[0; 2 * 68]).unwrap();
    for (rows, bytes) in
        [(1..3, 2 * 68 - 1), (2..4, 2 * 68), (std::ops::Range { start: 3, end: 2 }, 0), (0..u64::MAX, 68)]
    {
        assert!(fault(device.upload(weight, rows, &vec![0; bytes])).contains("weight"));
    }
    fault(device.upload(state, 0..1, &[0; 32]));
    fault(device.upload(TensorId(7), 0..1, &[]));
    device.write(state, 12, &[1.0; 4]).unwrap();
    assert_eq!(device.read(state, 11..14).unwrap(), [0.0, 1.0, 1.0]);
    assert!(fault(device.write(state, 13, &[1.0; 4])).contains("16 elements"));
    fault(device.write(state, u64::MAX, &[1.0]));
    fault(device.write(weight, 0, &[1.0]));
    fault(device.read(state, 0..17));
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    fault(device.read(state, 9..8));
    fault(device.read(TensorId(2), 0..1));
}

#[test]
fn steps_keep_to_their_plan() {
    let mut program = Program::default();
    let x = program.declare("x", TensorKind::State, 4, 8);
    let cache = program.declare("cache", TensorKind::State, 10, 8);
    let params = shader::kv_write::Params { kv_heads: 1, head_dim: 8, context: 10 };
    program.plans.push(plan(4, Command::KvWrite(KvWrite { x, cache, format: KvFormat::F32, params })));
    let mut device = device();
    device.prepare(&program).unwrap();
    device.run(0, Step { position: 6, tokens: 4 }, &[0; 4]).unwrap();
    assert!(fault(device.run(1, Step { position: 0, tokens: 1 }, &[0])).contains("plan 1"));
    fault(device.run(0, Step { position: 0, tokens: 0 }, &[]));
    fault(device.run(0, Step { position: 0, tokens: 5 }, &[0; 5]));
    fault(device.run(0, Step { position: 0, tokens: 2 }, &[0]));
    for position in [7, u32::MAX] {
        let error = device.run(0, Step { position, tokens: 4 }, &[0; 4]).unwrap_err();
        let prompt_tokens = position as usize + 4;
        assert_eq!(error, Error::PromptTooLong { prompt_tokens, context_tokens: 10 });
    }
}

#[test]
fn programs_with_wrong_operands_are_refused() {
    let mut program = Program::default();
    let weight = program.declare("weight", TensorKind::Weight(Format::F16), 8, 16);
    let x = program.declare("x", TensorKind::Scratch, 1, 16);
    let out = program.declare("out", TensorKind::State, 1, 8);
    let refused = |command: Command| {
        let mut program = program.clone();
        program.plans.push(plan(1, command));
        fault(device().prepare(&program))
    };
    let right = Matvec { x, weights: weight, out, columns: 16, rows: 8, accumulate: false };
    for wrong in [
        Matvec { x: out, ..right.clone() },
        Matvec { weights: x, ..right.clone() },
        Matvec { out: weight, ..right.clone() },
        Matvec { x: TensorId(9), ..right.clone() },
        Matvec { rows: 7, ..right.clone() },
        Matvec { columns: 12, ..right.clone() },
    ] {
        assert!(refused(Command::Matvec(wrong)).contains("command 0, matvec"));
    }
    let params = shader::gated::Params { columns: 16, activation: 0 };
    assert!(refused(Command::Gated(Gated { gate: x, up: x, out: x, params })).contains("used twice"));
    let mut program = program.clone();
    let cache = program.declare("cache", TensorKind::State, 64, 512);
    let answers = program.declare("answers", TensorKind::State, 64, 512);
    for (heads, kv_heads, head_dim) in [(3, 2, 16), (2, 0, 16), (1, 1, 257), (1, 1, 0)] {
        let params =
            shader::attention::Params { heads, kv_heads, head_dim, context: 4, causal: 1, ..Default::default() };
        let attention =
            Attention { queries: cache, keys: cache, values: cache, format: KvFormat::F32, out: answers, params };
        let mut program = program.clone();
        program.plans.push(plan(1, Command::Attention(attention)));
        assert!(fault(device().prepare(&program)).contains("cannot share"));
    }
}
