//! The tiny encoders on every device: the tokens and the vectors that transformers gave in float32.

use std::collections::BTreeMap;

use hearth_engine::{
    Error,
    decode::Embedder,
    model::{Encoder, EncoderConfig},
    protocol::{DeviceChoice, EmbedRequest, Event, FailureCode, ModelTask, Pooling, Request},
    text::Tokenizer,
};
use hearth_tests::{
    devices::Candidate,
    files::read,
    platform::{Host, complete, last},
    sessions::open,
};
use safetensors::SafeTensors;
use serde::Deserialize;

/// Models, and whose cases and vectors they share.
const MODELS: [(&str, &str); 3] = [
    ("tests/fixtures/tiny-bert", "tiny-bert"),
    ("tests/fixtures/tiny-bert.gguf", "tiny-bert"),
    ("tests/fixtures/tiny-roberta", "tiny-roberta"),
];
const POOLINGS: [(&str, Pooling); 3] = [("mean", Pooling::Mean), ("cls", Pooling::Cls), ("last", Pooling::Last)];
/// What `tests/golden/encoder.py` cut at.
const TOKENS_MAX: u32 = 40;
/// The least cosine of a vector and the reference's.
const COSINE: f64 = 0.9999;
/// The largest difference of any number, relative to the largest of its vector: F32 sums in another order.
const RELATIVE: f64 = 1e-3;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    truncated: bool,
}

fn cases(name: &str) -> BTreeMap<String, Case> {
    let mut all: BTreeMap<String, BTreeMap<String, Case>> =
        serde_json::from_slice(&read("tests/cases/encoders.json")).expect("the cases are sound");
    all.remove(name).expect("it has cases")
}

/// The reference's vectors, by "<text>.<pooling>".
fn goldens(name: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = read(&format!("tests/golden/{name}.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("the golden file is sound");
    let numbers = |data: &[u8]| data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    file.tensors().into_iter().map(|(name, tensor)| (name, numbers(tensor.data()))).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let scale = expected.iter().fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0_f64, |most, (a, b)| most.max((f64::from(*a) - f64::from(*b)).abs())) / scale
}

fn check_vectors(candidates: &[Candidate]) {
    for (path, name) in MODELS {
        let (opened, cases, goldens) = (open(path), cases(name), goldens(name));
        let config = EncoderConfig::find(&opened.documents).unwrap().expect("it is an encoder");
        let model = Encoder::record(config, &opened.catalog, TOKENS_MAX).unwrap();
        for candidate in candidates {
            let device = candidate.open(&model.program);
            let mut progress = |_| Ok(());
            let loading = Embedder::load(device, &opened.catalog, model.clone(), &mut progress);
            let mut embedder = pollster::block_on(loading).unwrap();
            let mut checked = 0;
            for (text, case) in &cases {
                for (word, pooling) in POOLINGS {
                    let found = pollster::block_on(embedder.embed(&case.ids, pooling, false)).unwrap();
                    let expected = &goldens[&format!("{text}.{word}")];
                    let (cosine, relative) = (cosine(&found, expected), relative(&found, expected));
                    let what = format!("{candidate}, {path}, {text}.{word}: cosine {cosine}, {relative:e} apart");
                    assert!(cosine >= COSINE && relative <= RELATIVE, "{what}");
                    checked += 1;
                }
            }
            assert_eq!(checked, goldens.len());
        }
    }
}

#[test]
fn vectors_agree_on_every_cpu() {
    let cpus: Vec<Candidate> = Candidate::all().into_iter().filter(|candidate| !candidate.is_gpu()).collect();
    check_vectors(&cpus);
}

#[test]
fn vectors_agree_on_every_gpu() {
    check_vectors(&Candidate::gpus());
}

#[test]
fn texts_become_the_same_tokens_and_are_cut_at_the_same_place() {
    // The folders: a GGUF's own vocabulary is read elsewhere.
    for (path, name) in MODELS.into_iter().filter(|(path, _)| !path.ends_with(".gguf")) {
        let tokenizer = Tokenizer::from_documents(&open(path).documents).unwrap();
        for (text, case) in cases(name) {
            let sequence = tokenizer.encode_sequence(&case.text, TOKENS_MAX as usize).unwrap();
            assert_eq!(sequence.ids, case.ids, "{path}, {text}");
            assert_eq!(sequence.is_truncated(), case.truncated, "{path}, {text}");
        }
    }
}

#[test]
fn the_protocol_gives_a_vector_a_text_and_the_same_alone_as_among_others() {
    const TINY: &str = "tests/fixtures/tiny-bert";
    let cases = cases("tiny-bert");
    let goldens = goldens("tiny-bert");
    for device in [DeviceChoice::Cpu, DeviceChoice::Gpu] {
        let host = Host::with_model(TINY, device, None);
        let texts: Vec<String> = cases.values().map(|case| case.text.clone()).collect();
        let request = EmbedRequest { texts, pooling: Some(Pooling::Mean), ..EmbedRequest::default() };
        let events = host.ask(Request::Embed(request));
        let Some((Event::Embedded(done), before)) = events.split_last() else { panic!("{events:?}") };
        assert_eq!((done.texts as usize, done.truncated, done.dimensions), (cases.len(), 1, 60));
        assert_eq!(before.len(), cases.len());
        for ((index, event), (name, case)) in before.iter().enumerate().zip(&cases) {
            let Event::Embedding(embedding) = event else { panic!("{event:?}") };
            assert_eq!((embedding.index as usize, embedding.truncated), (index, case.truncated), "{name}");
            assert_eq!(embedding.tokens as usize, case.ids.len(), "{name}");
            assert!(cosine(&embedding.vector, &goldens[&format!("{name}.mean")]) >= COSINE, "{name}");
            let length: f64 = embedding.vector.iter().map(|x| f64::from(*x).powi(2)).sum();
            assert!((length - 1.0).abs() < 1e-5, "{name}: {length}");
            let alone = EmbedRequest {
                texts: vec![case.text.clone()],
                pooling: Some(Pooling::Mean),
                ..EmbedRequest::default()
            };
            let alone = host.ask(Request::Embed(alone));
            let Some(Event::Embedding(alone)) = alone.first() else { panic!("{alone:?}") };
            assert_eq!(alone.vector, embedding.vector, "{name}");
        }
    }
}

#[test]
fn a_model_that_is_asked_for_the_other_task_says_which_one_to_load() {
    let code = |event: Event| if let Event::Failed(failure) = event { failure } else { panic!("{event:?}") };
    let encoder = Host::with_model("tests/fixtures/tiny-bert", DeviceChoice::Cpu, None);
    let failure = code(last(encoder.ask(complete("Once", Some(1), hearth_engine::protocol::Sampling::greedy()))));
    assert_eq!(failure.code, FailureCode::WrongTask);
    let wanted = Error::WrongTask { model: String::new(), wanted: ModelTask::Generate };
    assert_eq!(failure.hint, wanted.hint());
    let decoder = Host::with_model("tests/fixtures/tiny-llama", DeviceChoice::Cpu, None);
    let texts = EmbedRequest { texts: vec!["Once".into()], ..EmbedRequest::default() };
    assert_eq!(code(last(decoder.ask(Request::Embed(texts.clone())))).code, FailureCode::WrongTask);
    let none = EmbedRequest::default();
    assert_eq!(code(last(encoder.ask(Request::Embed(none)))).code, FailureCode::InvalidRequest);
    let long = EmbedRequest { texts: vec!["sea ".repeat(200)], truncate: Some(false), ..EmbedRequest::default() };
    assert_eq!(code(last(encoder.ask(Request::Embed(long)))).code, FailureCode::InvalidRequest);
}
