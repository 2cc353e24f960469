//! Caches of 8 and 4 bits: the same bytes on every device, and what the bundled model loses by them.

use hearth_engine::{
    decode::Session,
    kernel::{KvWrite, Step, shader::kv_write},
    plan::Command,
    tensor::KvFormat,
    text::Tokenizer,
};
use hearth_tests::{
    devices::Candidate,
    files::golden,
    kernels::KernelCase,
    numbers::kl_divergence,
    sessions::{greedy, load_with, open},
};

const MODEL: &str = "models/hearth-tiny";
const CONTEXT: u32 = 128;
/// Of a text.
const TOKENS: usize = 64;
const PACKED: [KvFormat; 2] = [KvFormat::Int8, KvFormat::Int4];

#[test]
fn every_device_writes_the_bytes_of_the_twin() {
    let shapes = [(1, 4, 0, 1), (3, 12, 17, 7), (3, 20, 0, 37), (2, 64, 63, 37), (2, 80, 1, 3), (1, 256, 30, 5)];
    for (format, (kv_heads, head_dim, position, tokens)) in
        PACKED.into_iter().flat_map(|format| shapes.map(|of| (format, of)))
    {
        let (step, context) = (Step { position, tokens }, 101);
        let mut case = KernelCase::new(format!("{format:?}: {kv_heads} heads of {head_dim}, {step:?}"), step);
        let (x, mut numbers) =
            (case.state(37, kv_heads * head_dim, Vec::new()), case.random.numbers(u64::from(37 * kv_heads * head_dim)));
        // A head of zeros, one whose scale would be no number's inverse, and one that is no number.
        let width = head_dim as usize;
        numbers[..width].fill(0.0);
        if tokens > 2 {
            numbers[kv_heads as usize * width..][..width].fill(1e-38);
            numbers[2 * kv_heads as usize * width] = f32::NAN;
        }
        case.write(x, numbers.clone());
        let cache = case.cache(format, kv_heads, head_dim, context);
        let params = kv_write::Params { kv_heads, head_dim, context };
        let command = KvWrite { x, cache: cache.id, format, params };
        let mut twin = cache.stored.clone();
        command.twin(step, &numbers, &mut twin);
        let bits = |stored: &[f32]| stored.iter().map(|word| word.to_bits()).collect::<Vec<_>>();
        assert!(bits(&twin) != bits(&cache.stored));
        case.command(37, Command::KvWrite(command));
        for candidate in Candidate::all() {
            let mut device = candidate.open(&case.program);
            let found = case.run_all(&mut device, &[cache.id]).unwrap().swap_remove(0);
            assert_eq!(bits(&found), bits(&twin), "{candidate}, {}", case.name);
        }
    }
}

fn logits(session: &mut Session, ids: &[u32]) -> Vec<f32> {
    pollster::block_on(session.logits(ids)).unwrap()
}

/// Nats a position.
fn divergence(reference: &[f32], found: &[f32], positions: usize) -> f64 {
    let vocab = found.len() / positions;
    let rows = reference.chunks(vocab).zip(found.chunks(vocab));
    rows.map(|(reference, found)| kl_divergence(reference, found)).sum::<f64>() / positions as f64
}

#[test]
fn the_bundled_model_loses_little() {
    let opened = open(MODEL);
    let text = golden("hearth-tiny").into_iter().max_by_key(|golden| golden.ids.len()).expect("there are some");
    let ids = &text.ids[..text.ids.len().min(TOKENS)];
    let mut exact = load_with(&Candidate::one_each()[0], &opened, CONTEXT, KvFormat::F32).unwrap();
    let reference = logits(&mut exact, ids);
    for (format, mean_max) in [(KvFormat::Int8, 3e-4), (KvFormat::Int4, 3e-2)] {
        for candidate in Candidate::all() {
            let mut session = load_with(&candidate, &opened, CONTEXT, format).unwrap();
            let mean = divergence(&reference, &logits(&mut session, ids), ids.len());
            println!("{candidate}, {format:?}: {mean:e} nats");
            assert!(mean > 1e-9 && mean < mean_max, "{candidate}, {format:?}: {mean:e} nats");
        }
    }
}

#[test]
fn what_a_batch_wrote_one_token_after_the_other_would_have_written_too() {
    let opened = open(MODEL);
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    let text = golden("hearth-tiny").into_iter().max_by_key(|golden| golden.ids.len()).expect("there are some");
    let ids = &text.ids[..text.ids.len().min(TOKENS / 2)];
    for format in PACKED {
        for candidate in Candidate::all() {
            let mut session = load_with(&candidate, &opened, CONTEXT, format).unwrap();
            let answer = greedy(&mut session, &tokenizer, ids, 8).unwrap();
            let whole = [ids, &answer.ids].concat();
            let at_once = logits(&mut session, &whole);
            let vocab = at_once.len() / whole.len();
            // The tokens that were chosen one after the other are the likeliest in one batch too, or nearly.
            for (position, id) in answer.ids.iter().enumerate() {
                let row = &at_once[(ids.len() + position - 1) * vocab..][..vocab];
                let behind = row.iter().copied().fold(f32::MIN, f32::max) - row[*id as usize];
                assert!(behind < 0.02, "{candidate}, {format:?} at {position}: {behind}");
            }
        }
    }
}
