//! The engine's thread: order, stopping, and what becomes of it when something panics.

mod common;

use std::sync::mpsc::{self, Receiver};

use common::models_dir;
use hearth_engine::protocol::{
    DeviceChoice, Event, EventEnvelope, Failure, FailureCode, GenerateRequest, LoadRequest, Prompt, Request,
    RequestEnvelope, Sampling, StopReason,
};
use hearth_host::{Client, EngineHandle, HostOptions, ModelStore};

fn engine() -> EngineHandle {
    let models = ModelStore::new([models_dir()]);
    EngineHandle::start(HostOptions { threads: Some(2), gpu_allowed: false, ..HostOptions::new(models) }).unwrap()
}

fn load() -> Request {
    Request::Load(LoadRequest { device: DeviceChoice::Cpu, ..LoadRequest::default() })
}

fn generate(max_tokens: u32) -> Request {
    Request::Generate(GenerateRequest {
        prompt: Prompt::Text { text: "Once upon a time".into() },
        max_tokens: Some(max_tokens),
        sampling: Sampling::greedy(),
        ..GenerateRequest::default()
    })
}

/// Many tokens: nobody waits for the last of them.
const ENDLESS: u32 = 1900;

fn ended(events: impl Iterator<Item = Event>) -> Event {
    let events: Vec<Event> = events.collect();
    let (last, before) = events.split_last().unwrap();
    assert!(before.iter().all(|event| !event.is_terminal()) && last.is_terminal(), "{events:?}");
    last.clone()
}

fn code(event: &Event) -> Option<FailureCode> {
    match event {
        Event::Failed(Failure { code, .. }) => Some(*code),
        _ => None,
    }
}

#[test]
fn requests_are_answered_in_order_with_one_end_each() {
    let engine = engine();
    assert!(engine.models().find("").is_ok());
    let (_, before) = engine.events(generate(1));
    let (_, loading) = engine.events(load());
    let (_, answer) = engine.events(generate(3));
    let (_, unloading) = engine.events(Request::Unload);
    let (_, after) = engine.events(generate(1));
    assert_eq!(code(&ended(before)), Some(FailureCode::NotLoaded));
    assert!(matches!(ended(loading), Event::Loaded(_)));
    assert!(matches!(ended(answer), Event::Done(_)));
    assert_eq!(ended(unloading), Event::Unloaded);
    assert_eq!(code(&ended(after)), Some(FailureCode::NotLoaded));
}

#[test]
fn what_waits_is_stopped_at_once_and_what_runs_at_the_next_token() {
    let engine = engine();
    let (_, loading) = engine.events(load());
    assert!(matches!(ended(loading), Event::Loaded(_)));
    let (running, mut events) = engine.events(generate(ENDLESS));
    assert!(events.any(|event| matches!(event, Event::Token { .. })));

    let (waiting, mut waiting_events) = engine.events(generate(ENDLESS));
    waiting.cancel();
    assert_eq!(waiting_events.next().as_ref().and_then(code), Some(FailureCode::Cancelled));

    let (_, mut stopping) = engine.events(Request::Cancel { target: running.id });
    assert_eq!(stopping.next(), Some(Event::Cancelling));
    let Event::Done(done) = ended(events) else { panic!("it did not end in order") };
    assert_eq!(done.stop_reason, StopReason::Cancelled);

    // A number that has ended, or never was, is nothing to stop.
    running.cancel();
    engine.submit(Request::Cancel { target: 4_000_000_000 }, |event| event == Event::Cancelling);
    let (_, next) = engine.events(generate(2));
    assert!(matches!(ended(next), Event::Done(done) if done.stop_reason != StopReason::Cancelled));
}

#[test]
fn nobody_listening_stops_the_work() {
    let engine = engine();
    let (_, loading) = engine.events(load());
    assert!(matches!(ended(loading), Event::Loaded(_)));
    let (told, heard) = mpsc::channel();
    engine.submit(generate(ENDLESS), move |event| {
        told.send(event).unwrap();
        false
    });
    // The channel ends when the request is over, long before its tokens are out.
    assert!(heard.iter().count() < 20);
}

#[test]
fn a_panic_is_reported_and_the_engine_starts_anew() {
    let engine = engine();
    let (_, loading) = engine.events(load());
    assert!(matches!(ended(loading), Event::Loaded(_)));
    let (told, heard) = mpsc::channel();
    let mut is_first = true;
    engine.submit(generate(8), move |event| {
        assert!(!std::mem::take(&mut is_first), "a listener that panics");
        told.send(event).unwrap();
        true
    });
    let failed = heard.recv().unwrap();
    assert_eq!(code(&failed), Some(FailureCode::DeviceFault), "{failed:?}");
    assert!(matches!(failed, Event::Failed(failure) if failure.message.contains("a listener that panics")));
    assert!(heard.recv().is_err(), "one end is enough");
    let (_, after) = engine.events(generate(1));
    assert_eq!(code(&ended(after)), Some(FailureCode::NotLoaded));
    let (_, again) = engine.events(load());
    assert!(matches!(ended(again), Event::Loaded(_)));
}

#[test]
fn tokens_and_scores_wait_for_their_turn() {
    let engine = engine();
    assert_eq!(engine.tokenize("Hello", true).unwrap_err().code, FailureCode::NotLoaded);
    let (_, loading) = engine.events(load());
    let ids = engine.tokenize("Hello there", false).unwrap();
    assert!(!ids.is_empty());
    assert!(matches!(ended(loading), Event::Loaded(_)));
    let (told, heard) = mpsc::channel();
    let score = engine.score("The king went to the sea.", None, move |done, total| told.send((done, total)).unwrap());
    let score = score.unwrap();
    assert!(score.tokens > 0 && score.nll_sum > 0.0);
    let (done, total) = heard.iter().last().unwrap();
    assert_eq!(done, total);
}

#[test]
fn the_last_handle_stops_the_work() {
    let engine = engine();
    let (_, loading) = engine.events(load());
    assert!(matches!(ended(loading), Event::Loaded(_)));
    let (_, mut events) = engine.events(generate(ENDLESS));
    let (_, waiting) = engine.events(generate(ENDLESS));
    assert!(events.any(|event| matches!(event, Event::Token { .. })));
    drop(engine);
    assert!(matches!(ended(events), Event::Done(done) if done.stop_reason == StopReason::Cancelled));
    assert_eq!(code(&ended(waiting)), Some(FailureCode::Cancelled));
}

/// A client, and a way to send requests and collect what comes back.
struct Connection {
    client: Client,
    told: mpsc::Sender<EventEnvelope>,
    heard: Receiver<EventEnvelope>,
}

impl Connection {
    fn new(engine: &EngineHandle) -> Self {
        let (told, heard) = mpsc::channel();
        Self { client: engine.client(), told, heard }
    }

    fn send(&self, id: u32, request: Request) {
        let told = self.told.clone();
        self.client.send(RequestEnvelope { id, request }, move |event| told.send(event).is_ok());
    }

    /// The next event that `is_wanted`.
    fn wait(&self, is_wanted: impl Fn(&Event) -> bool) -> EventEnvelope {
        self.heard.iter().find(|envelope| is_wanted(&envelope.event)).unwrap()
    }
}

#[test]
fn clients_number_their_requests_themselves() {
    let engine = engine();
    let [one, two] = [Connection::new(&engine), Connection::new(&engine)];
    one.send(7, load());
    two.send(7, Request::Probe);
    assert_eq!(one.wait(|event| matches!(event, Event::Loaded(_))).id, 7);
    assert_eq!(two.wait(|event| matches!(event, Event::Probed(_))).id, 7);

    one.send(1, generate(ENDLESS));
    one.wait(|event| matches!(event, Event::Token { .. }));
    // The other's request 1 is not this one, so this stops nothing.
    two.send(2, Request::Cancel { target: 1 });
    assert_eq!(two.wait(|event| *event == Event::Cancelling).id, 2);
    one.wait(|event| matches!(event, Event::Token { .. }));
    one.send(1, Request::Unload);
    assert_eq!(code(&one.wait(|event| code(event).is_some()).event), Some(FailureCode::InvalidRequest));
    assert_eq!(one.client.open_requests(), 1);
    one.send(2, Request::Cancel { target: 1 });
    let done = one.wait(|event| matches!(event, Event::Done(_)));
    assert!(matches!(done.event, Event::Done(done) if done.stop_reason == StopReason::Cancelled));
    assert_eq!(one.client.open_requests(), 0);
}

#[test]
fn a_client_that_goes_takes_its_requests_along() {
    let engine = engine();
    let Connection { client, told, heard } = Connection::new(&engine);
    let listener = told.clone();
    client.send(RequestEnvelope { id: 1, request: load() }, move |event| listener.send(event).is_ok());
    client.send(RequestEnvelope { id: 2, request: generate(ENDLESS) }, move |event| told.send(event).is_ok());
    assert!(heard.iter().any(|envelope| matches!(envelope.event, Event::Token { .. })));
    drop(client);
    let last = heard.iter().last().unwrap();
    assert!(matches!(last.event, Event::Done(done) if done.stop_reason == StopReason::Cancelled));
}
