//! The choice of the next token on a device: the same tokens as on the host, however far ahead the device runs, and
//! whatever ends an answer.

use hearth_engine::{
    Error,
    decode::{Choosing, GenerateOptions, Outcome, Sampler, Session, Sink, StopTexts},
    file::BoxedFuture,
    kernel::{Choose, PEAKS, Peaks, Shortlist, Step, shader},
    plan::{Command, Plan},
    protocol::{Sampling, StopReason},
    tensor::TensorId,
    text::{TextStream, Tokenizer},
};
use hearth_tests::{
    devices::Candidate,
    files::fixture_cases,
    kernels::KernelCase,
    sessions::{load, open},
};

const MODEL: &str = "tests/fixtures/tiny-llama";
const CONTEXT: u32 = 160;

/// Stops after so many tokens.
struct Collector {
    ids: Vec<u32>,
    text: String,
    tokens_max: usize,
}

impl Sink for Collector {
    fn prefilled(&mut self, _done_tokens: usize, _prompt_tokens: usize) {}

    fn token(&mut self, id: u32, text: String) {
        self.ids.push(id);
        self.text += &text;
    }

    fn is_stopped(&self) -> bool {
        self.ids.len() >= self.tokens_max
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// How an answer is asked for.
#[derive(Clone, Debug)]
struct Ask {
    sampling: Sampling,
    max_tokens: u32,
    /// The sink stops it after so many.
    cancel_at: usize,
    stop: Vec<String>,
}

impl Ask {
    fn of(sampling: Sampling) -> Self {
        Self { sampling, max_tokens: 24, cancel_at: usize::MAX, stop: Vec::new() }
    }
}

fn answer(session: &mut Session, tokenizer: &Tokenizer, prompt: &[u32], ask: &Ask) -> (Vec<u32>, String, Outcome) {
    let options = GenerateOptions {
        tokenizer,
        text: TextStream::continuing(),
        max_tokens: Some(ask.max_tokens),
        sampler: Sampler::new(ask.sampling, 7).unwrap(),
        stop: StopTexts::new(&ask.stop),
        constraint: None,
    };
    let mut sink = Collector { ids: Vec::new(), text: String::new(), tokens_max: ask.cancel_at };
    let outcome = pollster::block_on(session.generate(prompt, options, &mut sink)).unwrap();
    (sink.ids, sink.text, outcome)
}

fn samplings() -> Vec<Sampling> {
    let seeded = |seed| Sampling { seed: Some(seed), ..Sampling::default() };
    vec![
        Sampling::greedy(),
        Sampling { repetition_penalty: 1.3, ..Sampling::greedy() },
        Sampling { repetition_penalty: 0.8, ..Sampling::greedy() },
        seeded(1),
        Sampling { temperature: 1.5, top_k: 64, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.2, ..seeded(2) },
        Sampling { temperature: 1.5, top_k: 0, top_p: 0.9, min_p: 0.0, ..seeded(3) },
    ]
}

#[test]
fn tokens_are_the_same_whoever_chooses_them_and_whatever_ends_the_answer() {
    let opened = open(MODEL);
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    let prompt = &fixture_cases()["tiny-llama"]["words"].ids;
    let mut asks: Vec<Ask> = samplings().into_iter().map(Ask::of).collect();
    for max_tokens in [0, 1, 2, 500] {
        asks.push(Ask { max_tokens, ..Ask::of(Sampling::greedy()) });
    }
    asks.push(Ask { cancel_at: 5, ..Ask::of(Sampling::greedy()) });
    for candidate in Candidate::one_each() {
        let mut session = load(&candidate, &opened, CONTEXT).unwrap();
        session.set_choosing(Choosing::HOST);
        let said = answer(&mut session, &tokenizer, prompt, &asks[0]).1;
        let cut: String = said.chars().skip(said.chars().count() / 2).take(3).collect();
        let mut asks = asks.clone();
        asks.push(Ask { stop: vec![cut], ..Ask::of(Sampling::greedy()) });
        for ask in &asks {
            let mut expected = Vec::new();
            for choosing in [
                Choosing::HOST,
                Choosing { on_device: true, steps_ahead: 0 },
                Choosing { on_device: true, steps_ahead: 2 },
                Choosing { on_device: true, steps_ahead: 7 },
            ] {
                session.clear();
                session.set_choosing(choosing);
                let first = answer(&mut session, &tokenizer, prompt, ask);
                // What the cache holds behind the answer must not show when the conversation goes on.
                let next: Vec<u32> = prompt.iter().chain(&first.0).chain(&prompt[1..4]).copied().collect();
                let again = Ask { max_tokens: 6, ..Ask::of(Sampling::greedy()) };
                let next = if next.len() < CONTEXT as usize {
                    Some(answer(&mut session, &tokenizer, &next, &again))
                } else {
                    assert_eq!(first.2.stop_reason, StopReason::ContextFull);
                    None
                };
                expected.push((choosing, (first, next)));
            }
            let (_, host) = &expected[0];
            for (choosing, found) in &expected[1..] {
                assert_eq!(found, host, "{candidate}, {ask:?}, {choosing:?}");
            }
        }
    }
}

#[test]
fn what_is_no_number_is_an_error_on_a_device_too() {
    let opened = open(MODEL);
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    let prompt = &fixture_cases()["tiny-llama"]["words"].ids;
    for candidate in Candidate::one_each() {
        let mut session = load(&candidate, &opened, CONTEXT).unwrap();
        session.set_choosing(Choosing { on_device: true, steps_ahead: 2 });
        let norm = session.model().states[0].0;
        session.device_mut().write(norm, 0, &[f32::NAN]).unwrap();
        for sampling in [Sampling::greedy(), Sampling::default()] {
            let options = GenerateOptions {
                tokenizer: &tokenizer,
                text: TextStream::continuing(),
                max_tokens: Some(4),
                sampler: Sampler::new(sampling, 7).unwrap(),
                stop: StopTexts::new(&[]),
                constraint: None,
            };
            let mut sink = Collector { ids: Vec::new(), text: String::new(), tokens_max: usize::MAX };
            let answer = pollster::block_on(session.generate(prompt, options, &mut sink));
            assert!(matches!(answer, Err(Error::DeviceFault { .. })), "{candidate}: {answer:?}");
        }
    }
}

/// The commands that choose, on a row.
fn choices(row: &[f32], wanted: u32, entries_max: u32) -> (KernelCase, [TensorId; 2]) {
    let columns = row.len() as u32;
    let mut case = KernelCase::new(format!("choices of {columns}"), Step { position: 0, tokens: 1 });
    let x = case.state(1, columns, row.to_vec());
    let peaks = case.state(PEAKS, 2, vec![0.0; 2 * PEAKS as usize]);
    let list = case.state(1 + entries_max, 2, vec![0.0; 2 + 2 * entries_max as usize]);
    let choice = case.state(1, 2, vec![-1.0; 2]);
    let ids = case.tokens(1);
    let commands = vec![
        Command::Peaks(Peaks { x, peaks, list, params: shader::peaks::Params { columns } }),
        Command::Choose(Choose { peaks, ids, choice, params: shader::choose::Params { peaks: PEAKS } }),
        Command::Shortlist(Shortlist {
            x,
            peaks,
            list,
            params: shader::shortlist::Params { columns, wanted, entries_max },
        }),
    ];
    case.program.plans.push(Plan { name: "choices".into(), tokens_max: 1, commands });
    (case, [choice, list])
}

/// A list as numbers that can be compared: how many, the threshold, and the entries in order.
fn sorted(list: &[f32]) -> (u32, u32, Vec<[u32; 2]>) {
    let [count, threshold] = [list[0], list[1]].map(f32::to_bits);
    let entries = list[2..].chunks_exact(2).take(count as usize).map(|entry| [entry[0].to_bits(), entry[1].to_bits()]);
    let mut entries: Vec<[u32; 2]> = entries.collect();
    entries.sort_unstable();
    (count, threshold, entries)
}

#[test]
fn the_likeliest_and_the_short_list_are_those_of_a_sort() {
    for candidate in Candidate::all() {
        for columns in [1, 5, 64, 1000, 1024, 1025, 8192, 50_257] {
            for kind in 0..4 {
                let (mut case, _) = choices(&vec![0.0; columns], 64, 256);
                let mut row = case.random.numbers(columns as u64);
                match kind {
                    // Many equals, among them the largest; and both zeros.
                    1 => row.iter_mut().for_each(|value| *value = (*value * 2.0).round() / 2.0 - 1.5),
                    2 => row.iter_mut().for_each(|value| *value = f32::NEG_INFINITY.max(*value / 0.0)),
                    3 => row[columns / 2] = f32::NAN,
                    _ => {}
                }
                let (case, outs) = choices(&row, 64, 256);
                let mut device = candidate.open(&case.program);
                let found = case.run_all(&mut device, &outs).unwrap();
                let what = format!("{candidate}, {columns}, {kind}");
                if kind == 3 {
                    assert_eq!(found[0], [(columns / 2) as f32, 1.0], "{what}");
                    continue;
                }
                let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let first = row.iter().position(|value| *value == highest).unwrap();
                assert_eq!(found[0], [first as f32, 0.0], "{what}");
                let (count, threshold, entries) = sorted(&found[1]);
                let mut order: Vec<f32> = row.clone();
                order.sort_unstable_by(|a, b| b.total_cmp(a));
                assert!(count as usize >= columns.min(64), "{what}: {count} listed");
                if count <= 256 {
                    // All that is listed, and nothing else, is as large as the least of it.
                    let least = entries.iter().map(|entry| f32::from_bits(entry[1])).fold(f32::INFINITY, f32::min);
                    let expected = row.iter().enumerate().filter(|(_, value)| **value >= least);
                    let expected: Vec<[u32; 2]> =
                        expected.map(|(place, value)| [place as u32, value.to_bits()]).collect();
                    assert_eq!(entries, expected, "{what}");
                    assert!(least <= order[columns.min(64) - 1], "{what}");
                } else {
                    let above = row.iter().filter(|value| hearth_engine::kernel::order_of(**value) >= threshold);
                    assert_eq!(count as usize, above.count(), "{what}");
                }
            }
        }
    }
}
