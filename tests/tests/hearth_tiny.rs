//! The bundled model on every device: the logits and the very tokens that transformers gave in float32.

use std::sync::LazyLock;

use hearth_engine::{
    protocol::{Prompt, StopReason},
    tensor::KvFormat,
    text::{ChatTemplate, EncodeOptions, Tokenizer},
};
use hearth_tests::{
    devices::Candidate,
    files::{golden, read},
    numbers::{kl_divergence, relative_difference},
    sessions::{greedy, load, load_with, open},
};
use serde::Deserialize;

const MODEL: &str = "models/hearth-tiny";
/// Room for the longest golden text.
const CONTEXT: u32 = 512;
/// On a CPU: the largest difference of any logit, relative to the largest logit of its position.
const RELATIVE: f64 = 1e-3;
/// On any device: nats a position.
const DIVERGENCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Cases {
    max_tokens: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    prompt: Prompt,
    ids: Vec<u32>,
    greedy: Vec<u32>,
    ends: bool,
    text: String,
}

static CASES: LazyLock<Cases> =
    LazyLock::new(|| serde_json::from_slice(&read("tests/cases/hearth-tiny.json")).expect("the cases are sound"));

fn check_logits(candidates: impl IntoIterator<Item = Candidate>) {
    let opened = open(MODEL);
    for candidate in candidates {
        let mut session = load(&candidate, &opened, CONTEXT).unwrap();
        let mut positions = 0;
        for golden in golden("hearth-tiny") {
            let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
            let vocab = found.len() / golden.ids.len();
            for (position, reference) in golden.rows() {
                let found = &found[position * vocab..][..vocab];
                let what = format!("{candidate}, {} at {position}; remade the golden files?", golden.name);
                let divergence = kl_divergence(reference, found);
                assert!(divergence <= DIVERGENCE, "{what}: {divergence:e} nats");
                let relative = relative_difference(found, reference);
                assert!(candidate.is_gpu() || relative <= RELATIVE, "{what}: {relative:e}");
                positions += 1;
            }
        }
        assert_eq!(positions, 32);
    }
}

/// With the cache that people get: it must not change an answer.
fn check_greedy(candidates: impl IntoIterator<Item = Candidate>) {
    let opened = open(MODEL);
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    for candidate in candidates {
        let mut session = load_with(&candidate, &opened, CONTEXT, KvFormat::default()).unwrap();
        for case in &CASES.cases {
            let answer = greedy(&mut session, &tokenizer, &case.ids, CASES.max_tokens).unwrap();
            assert_eq!(answer.ids, case.greedy, "{candidate}, {}; remade the cases?", case.name);
            assert_eq!(answer.text.trim(), case.text.trim(), "{candidate}, {}", case.name);
            let reason = if case.ends { StopReason::EndOfTurn } else { StopReason::MaxTokens };
            assert_eq!(answer.outcome.stop_reason, reason, "{candidate}, {}", case.name);
        }
    }
}

fn cpus() -> impl Iterator<Item = Candidate> {
    Candidate::all().into_iter().filter(|candidate| !candidate.is_gpu())
}

#[test]
fn prompts_become_the_same_tokens() {
    let opened = open(MODEL);
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    let template = ChatTemplate::from_documents(&opened.documents).unwrap().expect("it has a chat template");
    for case in &CASES.cases {
        let ids = match &case.prompt {
            Prompt::Text { text } => tokenizer.encode(text, EncodeOptions::PROMPT).unwrap(),
            Prompt::Chat { messages } => tokenizer.encode_chat(&template, messages, true).unwrap(),
        };
        assert_eq!(ids, case.ids, "{}", case.name);
    }
}

#[test]
fn logits_agree_on_every_cpu() {
    check_logits(cpus());
}

#[test]
fn logits_agree_on_every_gpu() {
    check_logits(Candidate::gpus());
}

#[test]
fn greedy_tokens_agree_on_every_cpu() {
    check_greedy(cpus());
}

#[test]
fn greedy_tokens_agree_on_every_gpu() {
    check_greedy(Candidate::gpus());
}
