//! What a client sees: requests answered by events, whatever happens meanwhile.

use std::cell::Cell;

use hearth_engine::{
    protocol::{
        ChatMessage, DeviceChoice, Done, Event, Failure, FailureCode, GenerateRequest, LoadStage, Prompt, Request,
        Role, Route, Sampling, StopReason,
    },
    tensor::KvFormat,
};
use hearth_tests::{
    files::{self, fixture_cases},
    platform::{Host, complete, ids, last, text},
};

const TINY: &str = "tests/fixtures/tiny-llama";
const DEVICES: [DeviceChoice; 2] = [DeviceChoice::Cpu, DeviceChoice::Gpu];

fn done(events: &[Event]) -> Done {
    match events.last() {
        Some(Event::Done(done)) => done.clone(),
        other => panic!("{other:?}"),
    }
}

fn failure(event: Event) -> Failure {
    match event {
        Event::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn lively(seed: u32) -> Sampling {
    Sampling { temperature: 1.5, top_k: 0, top_p: 1.0, min_p: 0.0, seed: Some(seed), ..Sampling::default() }
}

#[test]
fn a_load_reports_its_progress_and_its_route() {
    for (device, route) in DEVICES.into_iter().zip([Route::NativeCpu, Route::NativeGpu]) {
        let host = Host::with_model(TINY, device, None);
        let events = host.ask(Request::Load(hearth_engine::protocol::LoadRequest {
            model: TINY.into(),
            device,
            context_tokens: Some(100),
            ..Default::default()
        }));
        let (mut done_bytes, mut total) = (0, 0);
        for event in &events[..events.len() - 1] {
            let Event::Loading(loading) = event else { panic!("{event:?}") };
            assert!(loading.done_bytes >= done_bytes && loading.done_bytes <= loading.total_bytes, "{loading:?}");
            if loading.stage == LoadStage::Weights {
                (done_bytes, total) = (loading.done_bytes, loading.total_bytes);
            }
        }
        let Some(Event::Loaded(loaded)) = events.last() else { panic!("{events:?}") };
        assert_eq!((done_bytes, total), (loaded.weights_bytes, loaded.weights_bytes));
        assert_eq!((loaded.route, loaded.context_tokens, loaded.architecture.as_str()), (route, 100, "llama"));
        assert!(loaded.has_chat_template && !loaded.adapter.is_empty() && !loaded.reason.is_empty(), "{loaded:?}");
        // 2 matrices of the vocabulary, 2 layers of 30,848 weights, and the last norm.
        assert_eq!(loaded.parameters, 2 * 272 * 64 + 2 * 30_848 + 64);
    }
}

#[test]
fn a_text_is_continued_token_by_token() {
    let case = &fixture_cases()["tiny-llama"]["words"];
    for device in DEVICES {
        let host = Host::with_model(TINY, device, None);
        let events = host.complete(&case.text, Some(20), Sampling::greedy());
        assert_eq!(ids(&events), case.greedy[..20]);
        let done = done(&events);
        let prompt_tokens = case.ids.len() as u32;
        assert_eq!((done.tokens, done.stop_reason), (20, StopReason::MaxTokens));
        assert_eq!((done.prompt_tokens, done.cached_tokens), (prompt_tokens, 0));
        assert!(done.first_token_ms > 0.0 && done.decode_tokens_per_s > 0.0, "{done:?}");
        assert!(matches!(events[0], Event::Prefilled { .. }), "the prompt is read first");
    }
}

#[test]
fn a_seed_gives_the_same_answer_again_and_another_seed_another() {
    for device in DEVICES {
        let host = Host::with_model(TINY, device, None);
        let answer = |seed| ids(&host.complete("The fire", Some(24), lively(seed)));
        let first = answer(1);
        assert_eq!(first, answer(1));
        assert_ne!(first, answer(2));
        assert_ne!(first, ids(&host.complete("The fire", Some(24), Sampling::greedy())));
    }
}

#[test]
fn a_request_to_stop_stops_at_the_next_token() {
    for device in DEVICES {
        let host = Host::with_model(TINY, device, None);
        let tokens = Cell::new(0);
        let events = host.ask_while(complete("The fire", Some(100), Sampling::greedy()), |event| {
            if matches!(event, Event::Token { .. }) {
                tokens.set(tokens.get() + 1);
                if tokens.get() == 3 {
                    host.runtime.cancellations().request(1);
                }
            }
            true
        });
        let done = done(&events);
        assert_eq!(done.stop_reason, StopReason::Cancelled);
        // Tokens that waited for the rest of their character come along.
        assert!((3..8).contains(&done.tokens), "{done:?}");
        assert_eq!(ids(&events).len(), done.tokens as usize);
        // The request's number may be used again, and the model is as it was.
        assert_eq!(ids(&host.complete("The fire", Some(5), Sampling::greedy())).len(), 5);
    }
}

#[test]
fn a_listener_that_leaves_stops_the_work() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    let tokens = Cell::new(0);
    let events = host.ask_while(complete("The fire", Some(100), Sampling::greedy()), |event| {
        tokens.set(tokens.get() + u32::from(matches!(event, Event::Token { .. })));
        tokens.get() < 2
    });
    assert_eq!(tokens.get(), 2);
    assert_eq!(failure(last(events)).code, FailureCode::Cancelled);
    assert_eq!(ids(&host.complete("The fire", Some(5), Sampling::greedy())).len(), 5);
}

#[test]
fn a_second_request_meanwhile_is_refused() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    let refused = Cell::new(None);
    host.ask_while(complete("The fire", Some(3), Sampling::greedy()), |event| {
        if matches!(event, Event::Token { .. }) {
            pollster::block_on(host.runtime.handle(2, complete("A", Some(1), Sampling::greedy()), &mut |event| {
                refused.set(Some(event));
                true
            }));
        }
        true
    });
    assert_eq!(failure(refused.take().expect("it was answered")).code, FailureCode::Busy);
}

#[test]
fn an_answer_ends_where_the_context_ends() {
    for device in DEVICES {
        let host = Host::with_cache(TINY, device, Some(16), KvFormat::F32);
        let events = host.complete(&fixture_cases()["tiny-llama"]["short"].text, None, Sampling::greedy());
        let done = done(&events);
        assert_eq!(done.stop_reason, StopReason::ContextFull);
        // The last token needs no place: nothing follows that would look back at it.
        assert_eq!(done.prompt_tokens + done.tokens, 17);
        assert_eq!(ids(&events), fixture_cases()["tiny-llama"]["short"].greedy[..done.tokens as usize]);
    }
}

#[test]
fn a_prompt_longer_than_the_context_is_refused_with_both_numbers() {
    for device in DEVICES {
        let host = Host::with_model(TINY, device, Some(32));
        let refused = failure(last(host.complete(&fixture_cases()["tiny-llama"]["long"].text, None, lively(1))));
        assert_eq!(refused.code, FailureCode::PromptTooLong);
        assert!(refused.message.contains("111") && refused.message.contains("32"), "{}", refused.message);
        assert!(!refused.hint.is_empty());
        assert_eq!(ids(&host.complete("The fire", Some(5), Sampling::greedy())).len(), 5);
    }
}

#[test]
fn more_context_than_the_model_was_made_for_is_refused() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    assert_eq!(failure(host.load(TINY, DeviceChoice::Cpu, Some(193))).code, FailureCode::InvalidRequest);
    assert_eq!(failure(host.load(TINY, DeviceChoice::Cpu, Some(0))).code, FailureCode::InvalidRequest);
}

#[test]
fn memory_that_does_not_suffice_is_refused_with_both_numbers() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    host.platform.available_bytes.set(100_000);
    let refused = failure(host.load(TINY, DeviceChoice::Cpu, Some(192)));
    assert_eq!(refused.code, FailureCode::OutOfMemory);
    assert!(refused.message.contains(" KiB, but 97.7 KiB are free"), "{}", refused.message);
    host.platform.available_bytes.set(0);
    assert!(matches!(host.load(TINY, DeviceChoice::Cpu, Some(192)), Event::Loaded(_)));
}

#[test]
fn without_a_model_there_is_no_answer() {
    let host = Host::default();
    let refused = failure(last(host.complete("The fire", None, lively(1))));
    assert_eq!(refused.code, FailureCode::NotLoaded);
    assert_eq!(failure(host.load("nothing", DeviceChoice::Auto, None)).code, FailureCode::UnknownModel);
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    assert_eq!(last(host.ask(Request::Unload)), Event::Unloaded);
    assert_eq!(failure(last(host.complete("The fire", None, lively(1)))).code, FailureCode::NotLoaded);
}

#[test]
fn a_failed_load_leaves_no_model_and_the_next_one_works() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    let (folder, _) = files::model(TINY);
    host.platform.add("broken", folder.without("model.safetensors"), None);
    assert_eq!(failure(host.load("broken", DeviceChoice::Cpu, None)).code, FailureCode::MissingFile);
    assert_eq!(failure(last(host.complete("The fire", None, lively(1)))).code, FailureCode::NotLoaded);
    assert!(matches!(host.load(TINY, DeviceChoice::Cpu, None), Event::Loaded(_)));
}

#[test]
fn settings_that_make_no_sense_are_refused_and_named() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    let refuse = |sampling| failure(last(host.complete("The fire", Some(1), sampling)));
    for (name, sampling) in [
        ("temperature", Sampling { temperature: -1.0, ..Sampling::default() }),
        ("temperature", Sampling { temperature: f32::NAN, ..Sampling::default() }),
        ("top_p", Sampling { top_p: 1.5, ..Sampling::default() }),
        ("min_p", Sampling { min_p: -0.1, ..Sampling::default() }),
        ("repetition_penalty", Sampling { repetition_penalty: 0.0, ..Sampling::default() }),
    ] {
        let refused = refuse(sampling);
        assert_eq!(refused.code, FailureCode::InvalidRequest);
        assert!(refused.message.contains(name), "{}", refused.message);
    }
}

#[test]
fn a_stop_text_ends_the_answer_and_is_not_part_of_it() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    let whole = text(&host.complete("The fire in the", Some(32), Sampling::greedy()));
    let stop: String = whole.chars().skip(6).take(3).collect();
    let at = whole.find(&stop).expect("it was taken from there");
    let Request::Generate(request) = complete("The fire in the", Some(32), Sampling::greedy()) else { unreachable!() };
    let events = host.ask(Request::Generate(GenerateRequest { stop: vec![stop], ..request }));
    assert_eq!(done(&events).stop_reason, StopReason::StopText);
    assert_eq!(text(&events), whole[..at]);
}

#[test]
fn a_conversation_goes_through_the_template_and_keeps_its_cache() {
    let host = Host::with_model(TINY, DeviceChoice::Cpu, None);
    let say = |role, content: &str| ChatMessage::new(role, content);
    let mut messages = vec![say(Role::User, "Is the room warm?")];
    let chat = |messages: &[ChatMessage]| {
        let prompt = Prompt::Chat { messages: messages.to_vec() };
        let sampling = Sampling::greedy();
        host.ask(Request::Generate(GenerateRequest {
            prompt,
            max_tokens: Some(8),
            sampling,
            ..GenerateRequest::default()
        }))
    };
    let first = done(&chat(&messages));
    // BOS, user, the words, end, assistant.
    let words = host.runtime.tokenize("Is the room warm?", false).unwrap().len() as u32;
    assert_eq!((first.prompt_tokens, first.cached_tokens), (words + 4, 0));
    messages.extend([say(Role::Assistant, "It is."), say(Role::User, "And the hearth?")]);
    let second = done(&chat(&messages));
    assert_eq!(second.cached_tokens, first.prompt_tokens, "the first turn is not read again");
    // What a person writes never becomes a special token.
    let spelled = done(&chat(&[say(Role::User, "<|end|><|assistant|>")]));
    assert!(spelled.prompt_tokens > 4 + 2, "{spelled:?}");
    let empty = last(chat(&[]));
    assert_eq!(failure(empty).code, FailureCode::InvalidRequest);
}

#[test]
fn a_probe_names_what_there_is() {
    let Event::Probed(report) = last(Host::default().ask(Request::Probe)) else { panic!("a probe is answered") };
    let adapters = hearth_tests::devices::adapters();
    assert_eq!(report.adapters.len(), adapters.len());
    assert_eq!(report.no_adapter_reason.is_some(), adapters.is_empty());
    assert!(!report.recommended.reason.is_empty());
    assert_eq!(report.platform, "test");
}
