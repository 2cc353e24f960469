//! Conversations through the runtime: with a model that brings no template, and with one that thinks.

use hearth_engine::{
    file::MemoryFolder,
    protocol::{
        ChatMessage, Constraint, DeviceChoice, Done, Event, GenerateRequest, Loaded, Prompt, Request, Role, Sampling,
        StopReason,
    },
};
use hearth_tests::{
    files,
    platform::{Host, complete, ids, last, text},
};
use serde_json::{Value, json};

const MODEL: &str = "models/hearth-tiny";
const DEVICES: [DeviceChoice; 2] = [DeviceChoice::Cpu, DeviceChoice::Gpu];

/// The bundled model with another template, or with none.
fn with_template(template: Option<&str>) -> MemoryFolder {
    let (folder, _) = files::model(MODEL);
    let mut config: Value = serde_json::from_slice(&files::read(&format!("{MODEL}/tokenizer_config.json"))).unwrap();
    let fields = config.as_object_mut().unwrap();
    fields.shift_remove("chat_template").unwrap();
    if let Some(template) = template {
        fields.insert("chat_template".into(), template.into());
    }
    folder.with("tokenizer_config.json", config.to_string())
}

fn host(template: Option<&str>, device: DeviceChoice) -> (Host, Loaded) {
    let host = Host::default();
    host.platform.add("copy", with_template(template), None);
    match host.load("copy", device, Some(512)) {
        Event::Loaded(loaded) => (host, loaded),
        other => panic!("{other:?}"),
    }
}

fn chat(question: &str, max_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Chat { messages: vec![ChatMessage::new(Role::User, question)] },
        max_tokens: Some(max_tokens),
        sampling: Sampling::greedy(),
        ..GenerateRequest::default()
    }
}

fn done(events: Vec<Event>) -> Done {
    match last(events) {
        Event::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

fn thoughts(events: &[Event]) -> String {
    let thought = |event: &Event| match event {
        Event::Token { reasoning, .. } => reasoning.clone(),
        _ => None,
    };
    events.iter().filter_map(thought).collect()
}

#[test]
fn a_model_without_a_template_gets_a_transcript_and_says_so_once() {
    for device in DEVICES {
        let (host, loaded) = host(None, device);
        assert!(!loaded.has_chat_template, "{loaded:?}");
        assert!(loaded.notice.is_some_and(|notice| notice.contains("no chat template")));
        let events = host.ask(Request::Generate(chat("Hello.", 60)));
        // What the model makes of the same words when it continues them: it goes on to the person's next line.
        let raw = text(&host.ask(complete("User: Hello.\nAssistant:", Some(60), Sampling::greedy())));
        let (answer, _) = raw.split_once("\n\nUser:").expect("this model writes the next turn too");
        assert!(answer.starts_with(' '), "{raw:?}");
        assert_eq!(text(&events), answer.trim_start());
        assert_eq!(done(events).stop_reason, StopReason::EndOfTurn);
    }
}

#[test]
fn stop_texts_and_forms_hold_in_a_transcript_too() {
    let (host, _) = host(None, DeviceChoice::Cpu);
    let whole = text(&host.ask(Request::Generate(chat("Hello.", 60))));
    let stop = whole.chars().skip(2).take(4).collect::<String>();
    let request = GenerateRequest { stop: vec![stop.clone()], ..chat("Hello.", 60) };
    let events = host.ask(Request::Generate(request));
    assert_eq!(text(&events), whole.split_once(&stop).unwrap().0);
    assert_eq!(done(events).stop_reason, StopReason::StopText);
    let constraint = Some(Constraint::Regex { pattern: "a\nUser: b".into() });
    let events = host.ask(Request::Generate(GenerateRequest { constraint, ..chat("Hello.", 60) }));
    assert_eq!(text(&events), "a\nUser: b");
}

/// The bundled model's own template, but for what a thought makes of it: it is kept, and a new one begins.
const THINKING: &str = "{{ bos_token }}{%- for message in messages -%}{{ '<|' + message['role'] + '|>' }}\
    {%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}\
    {{- message['content'] | trim + '<|end|>' }}{%- endfor -%}\
    {%- if add_generation_prompt -%}{{ '<|assistant|>' + ('' if enable_thinking is false else '<think>\\n') }}{%- endif -%}";

#[test]
fn what_is_thought_is_no_part_of_the_text() {
    let (host, loaded) = host(Some(THINKING), DeviceChoice::Cpu);
    assert!(loaded.has_chat_template && loaded.notice.is_none(), "{loaded:?}");
    let events = host.ask(Request::Generate(chat("Hello.", 12)));
    assert_eq!(text(&events), "");
    let raw = text(&host.ask(complete("x", Some(1), Sampling::greedy())));
    assert!(!raw.is_empty() && !thoughts(&events).is_empty(), "{events:?}");
    let spoken = done(events.clone());
    assert_eq!(ids(&events).len(), spoken.tokens as usize);
    // A form begins with the first token, so nothing is thought before it.
    let constraint = Some(Constraint::Regex { pattern: "[a-z]{3}".into() });
    let formed = host.ask(Request::Generate(GenerateRequest { constraint, ..chat("Hello.", 12) }));
    assert_eq!((text(&formed).len(), thoughts(&formed).as_str()), (3, ""));
    assert!(done(formed).prompt_tokens < spoken.prompt_tokens);
}

#[test]
fn earlier_thoughts_are_the_templates_affair() {
    let (host, _) = host(Some(THINKING), DeviceChoice::Cpu);
    let prompt_tokens = |reasoning: Option<&str>| {
        let answered =
            ChatMessage { reasoning: reasoning.map(str::to_owned), ..ChatMessage::new(Role::Assistant, "Hi.") };
        let turns = [ChatMessage::new(Role::User, "Hello."), answered, ChatMessage::new(Role::User, "And?")];
        let request = GenerateRequest { prompt: Prompt::Chat { messages: turns.to_vec() }, ..chat("", 1) };
        done(host.ask(Request::Generate(request))).prompt_tokens
    };
    assert!(prompt_tokens(Some("A greeting.")) > prompt_tokens(None));
}

#[test]
fn a_turn_ends_where_the_template_ends_it() {
    // A configuration that names only the base model's end; the template closes its turns with another token.
    let (folder, _) = files::model(MODEL);
    let folder = folder.with("generation_config.json", json!({"eos_token_id": 0}).to_string());
    let mut config: Value = serde_json::from_slice(&files::read(&format!("{MODEL}/tokenizer_config.json"))).unwrap();
    config["eos_token"] = "<|endoftext|>".into();
    let host = Host::default();
    host.platform.add("base", folder.with("tokenizer_config.json", config.to_string()), None);
    host.load("base", DeviceChoice::Cpu, Some(512));
    let found = host.ask(Request::Generate(chat("Hello.", 200)));
    let own = Host::with_model(MODEL, DeviceChoice::Cpu, Some(512)).ask(Request::Generate(chat("Hello.", 200)));
    assert_eq!(ids(&found), ids(&own));
    assert_eq!(done(found).stop_reason, StopReason::EndOfTurn);
}
