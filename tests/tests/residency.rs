//! Models that are not all on the device: whatever comes and goes, the numbers stay the same to the last bit.

use std::{cell::Cell, fmt, ops::Range, rc::Rc, sync::Arc};

use hearth_engine::{
    Error, Result,
    decode::{GenerateOptions, Outcome, Sampler, Session, SessionOptions, Sink, StopTexts},
    device::{CpuDevice, Device, Serial, SimdLevel, cpu::Activations},
    file::{BoxedFuture, ByteSource, OpenedModel},
    model::{Model, ModelConfig},
    protocol::{DeviceChoice, Event, LoadRequest, Request, Sampling, StopReason},
    tensor::KvFormat,
    text::{TextStream, Tokenizer},
};
use hearth_tests::{
    devices::Candidate,
    files,
    platform::Host,
    sessions::{greedy, open},
};

/// Models of several formats and layouts: interleaved and as stored, in strips, fused, with experts, with and without a
/// head of their own.
const MODELS: [&str; 8] = [
    "tests/fixtures/tiny-llama",
    "tests/fixtures/tiny-llama-q4_0.gguf",
    "tests/fixtures/tiny-llama-q8_0.gguf",
    "tests/fixtures/tiny-llama-sharded",
    "tests/fixtures/tiny-llama-trellis",
    "tests/fixtures/architectures/gemma3",
    "tests/fixtures/architectures/phi3",
    "tests/fixtures/architectures/olmoe",
];

const CONTEXT_TOKENS: u32 = 96;

fn options() -> SessionOptions {
    SessionOptions { context_tokens: CONTEXT_TOKENS, scoring: true, kv_cache: KvFormat::F32 }
}

/// A way to run.
enum Way {
    Exact(Candidate),
    /// With activations of eight bits, for which a CPU interleaves the rows of most formats.
    Int8,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(candidate) => candidate.fmt(f),
            Self::Int8 => f.write_str("CPU with activations of eight bits"),
        }
    }
}

impl Way {
    fn one_each() -> Vec<Self> {
        [Self::Int8].into_iter().chain(Candidate::one_each().into_iter().map(Self::Exact)).collect()
    }

    fn open(&self, opened: &OpenedModel) -> Device {
        let Self::Exact(candidate) = self else {
            return Device::Cpu(CpuDevice::with(Arc::new(Serial), SimdLevel::detect(), Activations::Int8));
        };
        let config = ModelConfig::read(&opened.documents).unwrap();
        candidate.open(&Model::record(config, &opened.catalog, CONTEXT_TOKENS, true).unwrap().program)
    }
}

fn load(way: &Way, opened: &OpenedModel, weights_bytes_max: Option<u64>) -> Result<Session> {
    let device = way.open(opened);
    pollster::block_on(Session::load_within(device, opened, options(), weights_bytes_max, &mut |_| Ok(())))
}

/// Bytes of all weights as a device keeps them, and the least that can be there at a time.
fn bounds(session: &Session, way: &Way, opened: &OpenedModel) -> (u64, u64) {
    let units = session.device().units(&session.model().program);
    let all = units.iter().map(|(unit, _)| unit.bytes).sum();
    match load(way, opened, Some(0)) {
        Err(Error::OutOfMemory { requested_bytes, available_bytes: 0, .. }) => (all, requested_bytes),
        other => panic!("no weights at all were accepted: {:?}", other.err()),
    }
}

/// Some tokens of the model's vocabulary.
fn ids(session: &Session, count: u32) -> Vec<u32> {
    (0..count).map(|nth| (nth * 37 + 5) % session.config().vocab_size).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn logits_are_the_same_to_the_last_bit_at_every_budget() {
    for model in MODELS {
        let opened = open(model);
        for way in Way::one_each() {
            let mut whole = load(&way, &opened, None).unwrap();
            assert!(whole.placement().is_none());
            let prompt = ids(&whole, 40);
            let expected = bits(&pollster::block_on(whole.logits(&prompt)).unwrap());
            let (all, least) = bounds(&whole, &way, &opened);
            let is_gpu = matches!(&way, Way::Exact(candidate) if candidate.is_gpu());
            // A GPU that is played in software compiles anew for each.
            let percents: &[u64] = if is_gpu { &[50, 0] } else { &[100, 75, 50, 25, 0] };
            for percent in percents {
                let budget = (all * percent / 100).max(least);
                let what = format!("{model} on {way}, {budget} of {all} bytes");
                let mut session = load(&way, &opened, Some(budget)).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(session.placement().is_some(), budget < all, "{what}");
                let taken = session.placement().map_or(all, |placed| placed.resident_bytes() + placed.slots_bytes());
                assert!(taken <= budget, "{what}: {taken}");
                for _ in 0..2 {
                    assert_eq!(bits(&pollster::block_on(session.logits(&prompt)).unwrap()), expected, "{what}");
                }
            }
        }
    }
}

/// What is not fused runs other dispatches, and needs its weights in other units.
#[test]
fn a_gpu_that_fuses_nothing_gives_the_same_logits_too() {
    let is_plain = |gpu: &Candidate| matches!(gpu, Candidate::Gpu { fused: false, .. });
    for candidate in Candidate::gpus().into_iter().filter(is_plain).take(1) {
        let opened = open("tests/fixtures/tiny-llama-q4_0.gguf");
        let way = Way::Exact(candidate);
        let mut whole = load(&way, &opened, None).unwrap();
        let prompt = ids(&whole, 40);
        let expected = bits(&pollster::block_on(whole.logits(&prompt)).unwrap());
        let (_, least) = bounds(&whole, &way, &opened);
        let mut session = load(&way, &opened, Some(least)).unwrap();
        assert_eq!(bits(&pollster::block_on(session.logits(&prompt)).unwrap()), expected, "{way}");
    }
}

#[test]
fn the_bundled_models_say_the_same_at_every_budget() {
    for model in ["models/hearth-tiny", "models/hearth-tiny-2bit"] {
        let opened = open(model);
        let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
        for way in Way::one_each() {
            let mut whole = load(&way, &opened, None).unwrap();
            let prompt = ids(&whole, 9);
            let expected = greedy(&mut whole, &tokenizer, &prompt, 12).unwrap();
            let (all, least) = bounds(&whole, &way, &opened);
            drop(whole);
            for percent in [75, 50, 25] {
                let budget = (all * percent / 100).max(least);
                let mut session = load(&way, &opened, Some(budget)).unwrap();
                let what = format!("{model} on {way}, {percent} %");
                assert_eq!(greedy(&mut session, &tokenizer, &prompt, 12).unwrap(), expected, "{what}");
                // What was on its way before it was needed came through the same slots.
                let counts = session.stream_counts();
                assert!(counts.units > 0 && counts.bytes > 0, "{what}: {counts:?}");
            }
        }
    }
}

#[test]
fn the_memory_that_is_taken_is_what_was_placed() {
    let opened = open("tests/fixtures/tiny-llama-trellis");
    for way in Way::one_each() {
        let whole = load(&way, &opened, None).unwrap();
        let (all, least) = bounds(&whole, &way, &opened);
        let part = load(&way, &opened, Some((all / 2).max(least))).unwrap();
        let placed = part.placement().unwrap();
        let saved = placed.streamed_bytes() - placed.slots_bytes();
        let found = whole.device().allocated_bytes() - part.device().allocated_bytes();
        // Buffers are filled up to whole words and lines.
        assert!(found.abs_diff(saved) <= 64 * placed.units.len() as u64, "{way}: {found} of {saved}");
    }
}

/// A file that is gone, or cut short, when a switch says so.
struct Failing {
    inner: Rc<dyn ByteSource>,
    is_cut: Rc<Cell<bool>>,
}

impl ByteSource for Failing {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len_bytes(&self) -> u64 {
        self.inner.len_bytes()
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        if self.is_cut.get() {
            let (file, needed_bytes) = (self.name().to_owned(), range.end);
            return Box::pin(std::future::ready(Err(Error::Truncated { file, needed_bytes, available_bytes: 0 })));
        }
        self.inner.read(range)
    }
}

#[test]
fn a_file_that_shrinks_in_mid_conversation_fails_the_answer_and_not_the_conversation() {
    let mut opened = open("tests/fixtures/tiny-llama-q4_0.gguf");
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    let is_cut = Rc::new(Cell::new(false));
    for source in &mut opened.catalog.sources {
        *source = Rc::new(Failing { inner: Rc::clone(source), is_cut: Rc::clone(&is_cut) });
    }
    for way in Way::one_each() {
        let mut whole = load(&way, &opened, None).unwrap();
        let prompt = ids(&whole, 20);
        let expected = greedy(&mut whole, &tokenizer, &prompt, 8).unwrap();
        let (_, least) = bounds(&whole, &way, &opened);
        let mut session = load(&way, &opened, Some(least)).unwrap();
        greedy(&mut session, &tokenizer, &prompt, 2).unwrap();
        is_cut.set(true);
        let error = greedy(&mut session, &tokenizer, &prompt, 8).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{way}: {error}");
        is_cut.set(false);
        let answer = greedy(&mut session, &tokenizer, &prompt, 8).unwrap();
        assert_eq!((answer.ids, answer.text), (expected.ids, expected.text), "{way}");
        // What was cached before is cached still.
        assert_eq!(answer.outcome.cached_tokens, prompt.len() - 1, "{way}");
    }
}

/// Stops after it was asked so often.
struct Impatient {
    asked: Cell<u32>,
    patience: u32,
}

impl Sink for Impatient {
    fn prefilled(&mut self, _done_tokens: usize, _prompt_tokens: usize) {}

    fn token(&mut self, _id: u32, _text: String) {}

    fn is_stopped(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() > self.patience
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn a_step_can_be_stopped_in_its_middle_and_taken_up_again() {
    let opened = open("tests/fixtures/tiny-llama-q8_0.gguf");
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    for way in Way::one_each() {
        let mut whole = load(&way, &opened, None).unwrap();
        let prompt = ids(&whole, 20);
        let expected = greedy(&mut whole, &tokenizer, &prompt, 8).unwrap();
        let (_, least) = bounds(&whole, &way, &opened);
        let mut session = load(&way, &opened, Some(least)).unwrap();
        for patience in [0, 3, 11, 25, 60] {
            let mut sink = Impatient { asked: Cell::new(0), patience };
            let outcome = stop_early(&mut session, &tokenizer, &prompt, &mut sink).unwrap();
            assert_eq!(outcome.stop_reason, StopReason::Cancelled, "{way}, {patience}");
            // It was asked once more, and not to the end of the step.
            assert!(sink.asked.get() <= patience + 2, "{way}: {} of {patience}", sink.asked.get());
        }
        let answer = greedy(&mut session, &tokenizer, &prompt, 8).unwrap();
        assert_eq!((answer.ids, answer.text), (expected.ids, expected.text), "{way}");
    }
}

fn stop_early(session: &mut Session, tokenizer: &Tokenizer, prompt: &[u32], sink: &mut dyn Sink) -> Result<Outcome> {
    let options = GenerateOptions {
        tokenizer,
        text: TextStream::continuing(),
        max_tokens: Some(64),
        sampler: Sampler::new(Sampling::greedy(), 0)?,
        stop: StopTexts::new(&[]),
        constraint: None,
    };
    pollster::block_on(session.generate(prompt, options, sink))
}

/// Twelve combinations of place, context and budget: what is planned, what is allocated, and what was allowed.
#[test]
fn the_plan_is_within_five_percent_of_what_is_allocated_and_the_budget_is_kept() {
    const MODEL: &str = "models/hearth-tiny";
    let host = Host::default();
    let (folder, file) = files::model(MODEL);
    host.platform.add(MODEL, folder, file.as_deref());
    for device in [DeviceChoice::Cpu, DeviceChoice::Gpu] {
        for context_tokens in [256, 768, 2048] {
            for memory_budget_bytes in [None, Some(19_000_000)] {
                let model = MODEL.to_owned();
                let context_tokens = Some(context_tokens);
                let request =
                    LoadRequest { model, device, context_tokens, memory_budget_bytes, ..LoadRequest::default() };
                let what = format!("{request:?}");
                let Some(Event::Loaded(loaded)) = host.ask(Request::Load(request)).pop() else { panic!("{what}") };
                let memory = loaded.memory.unwrap();
                let (planned, allocated) = (memory.plan.total_bytes, memory.allocated_bytes);
                assert!(planned.abs_diff(allocated) * 20 <= allocated, "{what}: {planned} {allocated}");
                assert!(memory_budget_bytes.is_none_or(|budget| allocated <= budget), "{what}: {allocated}");
                assert_eq!(memory.streamed_bytes > 0, memory_budget_bytes.is_some(), "{what}");
                // Each part is there, and what stays of it is what stays of all.
                let names: Vec<&str> = memory.components.iter().map(|part| part.name.as_str()).collect();
                assert_eq!((names.len(), names[0], names[12]), (13, "embedding", "layer 11"), "{what}");
                let resident: u64 = memory.components.iter().map(|part| part.resident_bytes).sum();
                assert!(resident.abs_diff(memory.resident_bytes) * 100 <= memory.resident_bytes, "{what}");
            }
        }
    }
}
