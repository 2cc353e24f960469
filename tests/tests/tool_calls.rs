//! Calls of functions through the runtime: from declared tools, by way of the template, to events.

use hearth_engine::{
    protocol::{
        ChatMessage, Constraint, DeviceChoice, Done, Event, Failure, FailureCode, GenerateRequest, Prompt, Request,
        Role, Sampling, StopReason, ToolCall, ToolChoice, ToolDefinition,
    },
    text::tool_calls::ToolSyntax,
};
use hearth_tests::{
    files,
    platform::{Host, last, text},
};
use serde_json::{Value, json};

const MODEL: &str = "models/hearth-tiny";

/// A template that shows the words of a way of writing calls, without ever saying them.
fn template(words: &str) -> String {
    let body = "{% for message in messages %}{{ message.role }}: {{ message.content }}\
                {% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}\n{% endfor %}\
                {% if tools %}{{ tools | tojson }}\n{% endif %}assistant:";
    format!("{{# tools: {words} #}}{body}")
}

fn host(words: &str) -> Host {
    let host = Host::default();
    let (folder, _) = files::model(MODEL);
    host.platform.add("tools", folder.with("chat_template.jinja", template(words).into_bytes()), None);
    let event = host.load("tools", DeviceChoice::Cpu, Some(1024));
    assert!(matches!(event, Event::Loaded(_)), "{event:?}");
    host
}

fn tools() -> Vec<ToolDefinition> {
    let parameters = json!({"type": "object", "required": ["city", "days"], "properties": {"city": {"type": "string", "enum": ["Bern", "Rome"]},
        "days": {"type": "integer", "minimum": 0, "maximum": 9}, "note": {"type": "string", "maxLength": 8}}});
    vec![
        ToolDefinition {
            name: "weather".into(),
            description: Some("The weather.".into()),
            parameters: Some(parameters),
        },
        ToolDefinition { name: "get-time".into(), ..ToolDefinition::default() },
    ]
}

fn request(choice: ToolChoice, sampling: Sampling) -> GenerateRequest {
    let messages = vec![ChatMessage::new(Role::User, "What will the weather be?")];
    let prompt = Prompt::Chat { messages };
    GenerateRequest {
        prompt,
        max_tokens: Some(400),
        sampling,
        tools: tools(),
        tool_choice: choice,
        ..GenerateRequest::default()
    }
}

fn wild(seed: u32) -> Sampling {
    Sampling { temperature: 2.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: Some(seed), ..Sampling::default() }
}

fn calls(events: &[Event]) -> Vec<(u32, String, String, Value)> {
    let call = |event: &Event| match event {
        Event::ToolCall { index, id, name, arguments } => Some((*index, id.clone(), name.clone(), arguments.clone())),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

fn done(events: Vec<Event>) -> Done {
    match last(events) {
        Event::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

fn failure(events: Vec<Event>) -> Failure {
    match last(events) {
        Event::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// Words that real templates have, for each way of writing calls.
const WAYS: [(&str, &str); 24] = [
    ("gpt-oss", "<|start|>assistant to= <|channel|>commentary"),
    ("Gemma 4", "<|tool_call>call: <tool_call|> <|\"|>"),
    ("DeepSeek V3.2", "｜DSML｜ invoke name="),
    ("MiniMax", "<minimax:tool_call> <invoke name="),
    ("Seed", "<seed:tool_call> <parameter="),
    ("GLM", "<tool_call><arg_key><arg_value>"),
    ("Qwen3-Coder", "<tool_call><function=<parameter="),
    ("DeepSeek R1", "<｜tool▁call▁begin｜>```json"),
    ("DeepSeek V3.1", "<｜tool▁call▁begin｜>"),
    ("Kimi K2", "<|tool_call_begin|><|tool_call_argument_begin|>"),
    ("Solar", "<|tool_call:begin|><|tool_call:args|>"),
    ("Mistral", "[TOOL_CALLS] [ARGS]"),
    ("Mistral v3", "[TOOL_CALLS]"),
    ("Command R7B", "<|START_ACTION|>"),
    ("Command R", "Action: tool_name"),
    ("FireFunction", "functools"),
    ("Nemotron", "<TOOLCALL>"),
    ("Apriel", "<tool_calls>["),
    ("Apertus", "<|tools_prefix|>"),
    ("Hermes", "<tool_call>"),
    ("Granite", "<|tool_call|>"),
    ("Functionary v3.2", ">>> recipient"),
    ("Functionary v3.1", "<function= </function>"),
    ("Llama 3", "{\"name\": , \"parameters\": "),
];

#[test]
fn a_call_that_is_asked_for_comes_in_every_way_of_writing() {
    for (way, words) in WAYS {
        let host = host(words);
        for sampling in (0..3).map(wild).chain([Sampling::greedy()]) {
            let events = host.ask(Request::Generate(request(ToolChoice::Required, sampling)));
            let found = calls(&events);
            assert_eq!(text(&events).trim(), "", "{way}: {events:?}");
            let done = done(events);
            assert_eq!(done.stop_reason, StopReason::ToolCalls, "{way}: {found:?}");
            let [(0, id, name, arguments)] = &found[..] else { panic!("{way}: {found:?}") };
            let tool = tools().into_iter().find(|tool| tool.name == *name).unwrap_or_else(|| panic!("{way}: {name}"));
            let schema = tool.parameters.unwrap_or_else(|| json!({"type": "object", "maxProperties": 0}));
            assert!(jsonschema::is_valid(&schema, arguments), "{way}: {arguments}");
            assert!(!id.is_empty());
        }
    }
}

#[test]
fn the_tool_that_is_named_is_the_one_that_is_called() {
    let host = host("<tool_call>");
    for seed in 0..10 {
        let events = host.ask(Request::Generate(request(ToolChoice::Named("get-time".into()), wild(seed))));
        let found = calls(&events);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].2.as_str(), &found[0].3), ("get-time", &json!({})));
    }
}

#[test]
fn tools_are_in_the_prompt_unless_they_are_not_to_be_called() {
    let host = host("<tool_call>");
    let prompt_tokens = |choice: ToolChoice, tools: Vec<ToolDefinition>| {
        let request = GenerateRequest { max_tokens: Some(1), tools, ..request(choice, Sampling::greedy()) };
        done(host.ask(Request::Generate(request))).prompt_tokens
    };
    let plain = prompt_tokens(ToolChoice::Auto, vec![]);
    assert!(prompt_tokens(ToolChoice::Auto, tools()) > plain + 50);
    assert_eq!(prompt_tokens(ToolChoice::None, tools()), plain);
}

#[test]
fn an_answer_in_words_stays_as_it_is() {
    let host = host("<tool_call>");
    let tools =
        host.ask(Request::Generate(GenerateRequest { max_tokens: Some(30), ..request(ToolChoice::Auto, wild(3)) }));
    assert!(calls(&tools).is_empty());
    let tokens = tools.iter().filter(|event| matches!(event, Event::Token { .. })).count();
    assert!(!text(&tools).is_empty());
    assert_eq!(done(tools).tokens as usize, tokens, "each token comes once");
}

#[test]
fn calls_and_results_go_back_through_the_template() {
    let host = host("<tool_call>");
    let call = ToolCall { id: "abcdefghi".into(), name: "weather".into(), arguments: json!({"city": "Bern"}) };
    let said = ChatMessage { tool_calls: vec![call], ..ChatMessage::new(Role::Assistant, "") };
    let result = ChatMessage { tool_call_id: Some("abcdefghi".into()), ..ChatMessage::new(Role::Tool, "Rain.") };
    let mut lengths = Vec::new();
    for more in [vec![], vec![said.clone()], vec![said, result]] {
        let mut messages = vec![ChatMessage::new(Role::User, "What will the weather be?")];
        messages.extend(more);
        let request = GenerateRequest {
            prompt: Prompt::Chat { messages },
            max_tokens: Some(1),
            ..request(ToolChoice::Auto, wild(1))
        };
        lengths.push(done(host.ask(Request::Generate(request))).prompt_tokens);
    }
    assert!(lengths[0] + 20 < lengths[1] && lengths[1] < lengths[2], "{lengths:?}");
}

#[test]
fn what_cannot_be_is_refused_and_named() {
    let host = host("<tool_call>");
    let refused = |request: GenerateRequest| {
        let failure = failure(host.ask(Request::Generate(request)));
        (failure.code, failure.message)
    };
    let base = || request(ToolChoice::Auto, Sampling::greedy());
    let (code, message) = refused(GenerateRequest { prompt: Prompt::Text { text: "a".into() }, ..base() });
    assert!(code == FailureCode::InvalidRequest && message.contains("conversation"), "{message}");
    let (_, message) = refused(GenerateRequest { constraint: Some(Constraint::JsonObject), ..base() });
    assert!(message.contains("constraint") && message.contains("tool_choice"), "{message}");
    let (_, message) = refused(GenerateRequest { tools: vec![], ..request(ToolChoice::Required, Sampling::greedy()) });
    assert!(message.contains("tool_choice"), "{message}");
    let bad = ToolDefinition {
        name: "f".into(),
        parameters: Some(json!({"properties": {"a": {"not": {}}}})),
        ..ToolDefinition::default()
    };
    let (code, message) =
        refused(GenerateRequest { tools: vec![bad], ..request(ToolChoice::Required, Sampling::greedy()) });
    assert!(code == FailureCode::Constraint && message.contains("#/properties/a/not"), "{message}");
    let plain = Host::with_model(MODEL, DeviceChoice::Cpu, Some(512));
    let unknown = failure(plain.ask(Request::Generate(base())));
    assert!(unknown.code == FailureCode::InvalidRequest && unknown.message.contains("template"), "{}", unknown.message);
}

#[test]
fn every_way_is_tried() {
    for (way, words) in WAYS {
        assert_eq!(ToolSyntax::detect(&template(words)).map(ToolSyntax::name), Some(way), "{words}");
    }
}
