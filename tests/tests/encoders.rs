//! The tiny encoders on every device: the tokens and the vectors that transformers gave in float32.

use std::collections::BTreeMap;

use hearth_engine::{
    Error,
    decode::Embedder,
    file::GgufValue,
    model::{EmbedderConfig, Model, ModelConfig},
    protocol::{DeviceChoice, EmbedRequest, Event, FailureCode, ModelTask, Pooling, Request},
    text::Tokenizer,
};
use hearth_tests::{
    devices::Candidate,
    files::read,
    gguf::Gguf,
    platform::{Host, complete, last},
    sessions::open,
};
use safetensors::SafeTensors;
use serde::Deserialize;

/// Models, and whose cases and vectors they share.
const MODELS: [(&str, &str); 6] = [
    ("tests/fixtures/tiny-bert", "tiny-bert"),
    ("tests/fixtures/tiny-bert.gguf", "tiny-bert"),
    ("tests/fixtures/tiny-roberta", "tiny-roberta"),
    ("tests/fixtures/tiny-qwen3-embedding", "tiny-qwen3-embedding"),
    ("tests/fixtures/tiny-qwen3-embedding.gguf", "tiny-qwen3-embedding"),
    ("tests/fixtures/tiny-gte-qwen2", "tiny-gte-qwen2"),
];
const POOLINGS: [(&str, Pooling); 3] = [("mean", Pooling::Mean), ("cls", Pooling::Cls), ("last", Pooling::Last)];
/// What `tests/golden/encoder.py` and `decoder_embedder.py` cut at.
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
    let file = |file: &str| -> BTreeMap<String, BTreeMap<String, Case>> {
        serde_json::from_slice(&read(&format!("tests/cases/{file}.json"))).expect("the cases are sound")
    };
    let mut all = file("encoders");
    all.append(&mut file("decoder_embedders"));
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
        let config = EmbedderConfig::find(&opened).unwrap().expect("it makes vectors");
        let model = config.record(&opened.catalog, TOKENS_MAX).unwrap();
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
    // BERT's folder: a GGUF's own vocabulary is read elsewhere.
    for (path, name) in MODELS.into_iter().filter(|(path, _)| !path.ends_with("bert.gguf")) {
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

#[test]
fn a_decoder_that_sees_the_whole_text_writes_none_and_says_so() {
    let opened = open("tests/fixtures/tiny-gte-qwen2");
    let config = ModelConfig::read(&opened.documents).unwrap();
    assert!(!config.causal);
    let refused = Model::record(config, &opened.catalog, 16, false).map(|_| ());
    assert!(matches!(refused, Err(Error::BadConfig { field, .. }) if field == "is_causal"));
    let mut windowed = ModelConfig::read(&opened.documents).unwrap();
    windowed.layer_kinds[1].window = 8;
    let refused = EmbedderConfig::Decoder(Box::new(windowed)).record(&opened.catalog, 16).map(|_| ());
    assert!(matches!(refused, Err(Error::BadConfig { field, .. }) if field == "sliding_window"));
    let host = Host::with_model("tests/fixtures/tiny-gte-qwen2", DeviceChoice::Cpu, None);
    let failed = last(host.ask(complete("Once", Some(1), hearth_engine::protocol::Sampling::greedy())));
    assert!(matches!(failed, Event::Failed(failure) if failure.code == FailureCode::WrongTask));
}

/// What the person asks for stands before each text, and so do the words of the model's own.
#[test]
fn an_instruction_stands_before_each_text() {
    let path = "tests/fixtures/tiny-qwen3-embedding.gguf";
    let host = Host::with_model(path, DeviceChoice::Cpu, Some(TOKENS_MAX));
    let cases = cases("tiny-qwen3-embedding");
    let (question, whole) = (&cases["question"], &cases["query"]);
    let prompt = whole.text.strip_suffix(&question.text).expect("the instruction stands before the question");
    let request =
        EmbedRequest { texts: vec![question.text.clone()], prompt: Some(prompt.to_owned()), ..EmbedRequest::default() };
    let events = host.ask(Request::Embed(request));
    let [Event::Embedding(embedding), Event::Embedded(done)] = &events[..] else { panic!("{events:?}") };
    // The GGUF says so.
    assert_eq!(done.pooling, Pooling::Last);
    assert_eq!(embedding.tokens as usize, whole.ids.len());
    assert!(cosine(&embedding.vector, &goldens("tiny-qwen3-embedding")["query.last"]) >= COSINE);
}

/// A GGUF that leaves the pooling open, or ranks, is there to be asked in words.
#[test]
fn a_gguf_without_a_pooling_writes() {
    let with = |kind: Option<u32>| {
        let mut file = Gguf::read("tests/fixtures/tiny-qwen3-embedding.gguf");
        file.metadata.insert("qwen3.pooling_type", GgufValue::U32(kind.unwrap_or(0)));
        EmbedderConfig::find(&file.open()).unwrap().is_some()
    };
    assert_eq!([Some(1), Some(2), Some(3), Some(4), None].map(with), [true, true, true, false, false]);
    assert_eq!(EmbedderConfig::find(&open("tests/fixtures/architectures/qwen3.gguf")).unwrap(), None);
}
