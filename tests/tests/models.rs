//! Whole models on every device, against logits and tokens that transformers computed in float32.

use hearth_engine::{
    Error,
    device::Device,
    protocol::StopReason,
    text::{EncodeOptions, Tokenizer},
};
use hearth_tests::{
    devices::Candidate,
    files::{fixture_cases, golden},
    numbers::{kl_divergence, relative_difference},
    sessions::{self, greedy, load, load_on, open},
};

/// On a CPU: the largest difference of any logit, relative to the largest logit of its position.
const RELATIVE: f64 = 1e-3;
/// On any device: nats a position.
const DIVERGENCE: f64 = 1e-4;

/// A file, and which golden logits are its.
const MODELS: &[(&str, &str)] = &[
    ("tests/fixtures/tiny-llama", "tiny-llama"),
    ("tests/fixtures/tiny-llama-sharded", "tiny-llama"),
    ("tests/fixtures/tiny-llama-f32.gguf", "tiny-llama"),
    ("tests/fixtures/tiny-llama-f16.gguf", "tiny-llama"),
    ("tests/fixtures/tiny-llama-bf16.gguf", "tiny-llama"),
    ("tests/fixtures/tiny-llama-q8_0.gguf", "tiny-llama-q8_0"),
    ("tests/fixtures/tiny-llama-q4_0.gguf", "tiny-llama-q4_0"),
    ("tests/fixtures/tiny-odd", "tiny-odd"),
];

fn check_golden(path: &str, name: &str, candidate: &Candidate) {
    let opened = open(path);
    let mut session = load(candidate, &opened, 192).unwrap_or_else(|error| panic!("{path}, {candidate}: {error}"));
    for golden in golden(name) {
        let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
        let vocab = found.len() / golden.ids.len();
        for (position, reference) in golden.rows() {
            let found = &found[position * vocab..][..vocab];
            let what = format!("{path}, {candidate}, {} at {position}", golden.name);
            let divergence = kl_divergence(reference, found);
            assert!(divergence <= DIVERGENCE, "{what}: {divergence:e} nats");
            let relative = relative_difference(found, reference);
            assert!(candidate.is_gpu() || relative <= RELATIVE, "{what}: {relative:e}");
        }
    }
}

#[test]
fn logits_of_every_file_agree_on_every_device() {
    for candidate in Candidate::all() {
        for (path, name) in MODELS {
            check_golden(path, name, &candidate);
        }
    }
}

#[test]
fn greedy_tokens_of_every_file_agree_on_every_device() {
    let cases = fixture_cases();
    for (path, name) in MODELS {
        let opened = open(path);
        let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
        for candidate in Candidate::all() {
            let mut session = load(&candidate, &opened, 192).unwrap();
            for (prompt, case) in &cases[*name] {
                let ids = tokenizer.encode(&case.text, EncodeOptions::PROMPT).unwrap();
                assert_eq!(ids, case.ids, "{path}, {prompt}: tokens of the prompt");
                let answer = greedy(&mut session, &tokenizer, &ids, 32).unwrap();
                assert_eq!(answer.ids, case.greedy, "{path}, {candidate}, {prompt}");
                let reason = if case.ends { StopReason::EndOfTurn } else { StopReason::MaxTokens };
                assert_eq!(answer.outcome.stop_reason, reason);
            }
        }
    }
}

#[test]
fn a_prompt_that_the_cache_knows_in_part_gives_the_same_answer() {
    let case = &fixture_cases()["tiny-llama"]["long"];
    let opened = open("tests/fixtures/tiny-llama");
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    for candidate in Candidate::one_each() {
        let mut session = load(&candidate, &opened, 192).unwrap();
        // The cache is left with another continuation of the prompt's first half.
        greedy(&mut session, &tokenizer, &case.ids[..50], 16).unwrap();
        let answer = greedy(&mut session, &tokenizer, &case.ids, 32).unwrap();
        assert!(answer.outcome.cached_tokens >= 49, "{:?}", answer.outcome);
        assert_eq!(answer.ids, case.greedy, "{candidate}");
        let again = greedy(&mut session, &tokenizer, &case.ids, 32).unwrap();
        assert_eq!(again.outcome.cached_tokens, case.ids.len() - 1);
        assert_eq!(again.ids, case.greedy, "{candidate}");
    }
}

#[test]
fn a_device_lost_in_mid_stream_is_an_error_and_another_takes_over() {
    let case = &fixture_cases()["tiny-llama"]["words"];
    let opened = open("tests/fixtures/tiny-llama");
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    for candidate in Candidate::gpus() {
        let mut session = load(&candidate, &opened, 192).unwrap();
        let Device::Gpu(gpu) = session.device() else { panic!("{candidate} is a GPU") };
        let lose = gpu.lose_for_test();
        let mut streamed = 0;
        let answer = sessions::generate(&mut session, &tokenizer, &case.ids, 32, &mut |tokens| {
            streamed = tokens;
            if tokens == 3 {
                lose();
            }
        });
        assert!(matches!(answer, Err(Error::DeviceLost { .. })), "{candidate}: {answer:?}");
        assert!((3..32).contains(&streamed), "{streamed} tokens came");
        assert!(greedy(&mut session, &tokenizer, &case.ids, 1).is_err(), "a lost device stays lost");
        let mut session = load(&candidate, &opened, 192).unwrap();
        assert_eq!(greedy(&mut session, &tokenizer, &case.ids, 32).unwrap().ids, case.greedy);
    }
}

#[test]
fn a_gpu_that_is_too_small_says_by_how_much() {
    let opened = open("tests/fixtures/tiny-llama");
    for candidate in Candidate::gpus() {
        match load_on(candidate.open_limited(Some(4096)), &opened, 192).map(|_| ()) {
            Err(Error::OutOfMemory { requested_bytes, available_bytes: 4096, .. }) => assert!(requested_bytes > 4096),
            other => panic!("{candidate}: {other:?}"),
        }
    }
}
