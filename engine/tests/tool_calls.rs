//! Calls of functions in every way that models write them, cut at every place, and cut off.

use hearth_engine::{
    protocol::{ToolChoice, ToolDefinition},
    text::tool_calls::{Piece, ToolCallParser, ToolSyntax, check_tools},
};
use serde_json::{Value, json};

/// A way of writing calls: words of a template that shows it, an answer, and what is in it.
struct Sample {
    name: &'static str,
    template: &'static str,
    answer: &'static str,
    text: &'static str,
    calls: Vec<(Option<&'static str>, &'static str, Value)>,
}

fn tools() -> Vec<ToolDefinition> {
    let tool = |name: &str, properties: Value| ToolDefinition {
        name: name.into(),
        description: Some("Does something.".into()),
        parameters: Some(json!({"type": "object", "properties": properties, "required": ["city"]})),
    };
    vec![
        tool("weather", json!({"city": {"type": "string"}, "days": {"type": "integer"}})),
        tool("time", json!({"city": {"type": "string"}})),
    ]
}

#[rustfmt::skip]
fn samples() -> Vec<Sample> {
    let bern = || json!({"city": "Bern", "days": 2});
    let tricky = || json!({"city": "a \"}]</tool_call> \\ é", "days": 2});
    let one = |arguments: Value| vec![(None, "weather", arguments)];
    let two = || vec![(None, "weather", bern()), (None, "time", json!({"city": "Rome"}))];
    vec![
        Sample { name: "Hermes", template: "{{ '<tool_call>\n' }} tools", calls: two(), text: "Let me see.\n",
            answer: "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\", \"days\": 2}}\n</tool_call>\n<tool_call>\n{\"name\": \"time\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>" },
        Sample { name: "Hermes", template: "{{ '<tool_call>\n' }} tools", calls: one(tricky()), text: " a < b",
            answer: "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"a \\\"}]</tool_call> \\\\ é\", \"days\": 2}}</tool_call>  a < b" },
        Sample { name: "Qwen3-Coder", template: "<tool_call>\n<function=example>\n<parameter=example>", calls: vec![(None, "weather", json!({"city": "5", "days": 2}))], text: "So:\n",
            answer: "So:\n<tool_call>\n<function=weather>\n<parameter=city>\n5\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>" },
        Sample { name: "GLM", template: "<tool_call>{name}<arg_key>k</arg_key><arg_value>", calls: one(bern()), text: "",
            answer: "\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>" },
        Sample { name: "MiniMax", template: "<minimax:tool_call> <invoke name=", calls: two(), text: "",
            answer: "<minimax:tool_call>\n<invoke name=\"weather\">\n<parameter name=\"city\">Bern</parameter>\n<parameter name=\"days\">2</parameter>\n</invoke>\n<invoke name=\"time\">\n<parameter name=\"city\">Rome</parameter>\n</invoke>\n</minimax:tool_call>" },
        Sample { name: "Seed", template: "<seed:tool_call><function=f><parameter=p>", calls: one(bern()), text: "",
            answer: "<seed:tool_call>\n<function=weather>\n<parameter=city>Bern</parameter>\n<parameter=days>2</parameter>\n</function>\n</seed:tool_call>" },
        Sample { name: "DeepSeek V3.2", template: "set dsml_token = '｜DSML｜' invoke name=", calls: one(bern()), text: "Yes.\n\n",
            answer: "Yes.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Bern</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>" },
        Sample { name: "DeepSeek V3.1", template: "'<｜tool▁call▁begin｜>'+ name", calls: two(), text: "",
            answer: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Bern\", \"days\": 2}<｜tool▁call▁end｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>{\"city\": \"Rome\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>" },
        Sample { name: "DeepSeek R1", template: "'<｜tool▁call▁begin｜>' + type + '```json'", calls: one(bern()), text: "",
            answer: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Bern\", \"days\": 2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>" },
        Sample { name: "Kimi K2", template: "<|tool_call_begin|><|tool_call_argument_begin|>", calls: vec![(Some("functions.weather:0"), "weather", bern())], text: "",
            answer: "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{\"city\": \"Bern\", \"days\": 2}<|tool_call_end|><|tool_calls_section_end|>" },
        Sample { name: "Solar", template: "<|tool_call:begin|><|tool_call:args|>", calls: vec![(Some("c1"), "weather", bern())], text: "",
            answer: "<|tool_call:begin|>c1<|tool_call:name|>weather<|tool_call:args|>{\"city\": \"Bern\", \"days\": 2}<|tool_call:end|>" },
        Sample { name: "Mistral", template: "'[TOOL_CALLS]' + name + '[ARGS]'", calls: two(), text: "Well. ",
            answer: "Well. [TOOL_CALLS]weather[ARGS]{\"city\": \"Bern\", \"days\": 2}[TOOL_CALLS]time[ARGS]{\"city\": \"Rome\"}" },
        Sample { name: "Mistral", template: "'[TOOL_CALLS]' + name + '[ARGS]'", calls: vec![(Some("abcdefghi"), "weather", bern())], text: "",
            answer: "[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{\"city\": \"Bern\", \"days\": 2}" },
        Sample { name: "Mistral v3", template: "\"[TOOL_CALLS][\"", calls: vec![(Some("abcdefghi"), "weather", bern()), (None, "time", json!({"city": "Rome"}))], text: "",
            answer: "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\", \"days\": 2}, \"id\": \"abcdefghi\"}, {\"name\": \"time\", \"arguments\": {\"city\": \"Rome\"}}]" },
        Sample { name: "Command R7B", template: "write <|START_ACTION|> followed", calls: vec![(Some("0"), "weather", bern())], text: "",
            answer: "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"weather\", \"parameters\": {\"city\": \"Bern\", \"days\": 2}}\n]<|END_ACTION|>" },
        Sample { name: "Command R", template: "Write 'Action:' tool_name", calls: one(bern()), text: "",
            answer: "Action:\n```json\n[\n    {\n        \"tool_name\": \"weather\",\n        \"parameters\": {\"city\": \"Bern\", \"days\": 2}\n    }\n]\n```" },
        Sample { name: "FireFunction", template: "functools[...]", calls: two(), text: "",
            answer: " functools[{\"name\": \"weather\", \"arguments\": \"{\\\"city\\\": \\\"Bern\\\", \\\"days\\\": 2}\"}, {\"name\": \"time\", \"arguments\": {\"city\": \"Rome\"}}]" },
        Sample { name: "Nemotron", template: "'<TOOLCALL>['", calls: two(), text: "",
            answer: "<TOOLCALL>[{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\", \"days\": 2}}, {\"name\": \"time\", \"arguments\": {\"city\": \"Rome\"}}]</TOOLCALL>" },
        Sample { name: "Apriel", template: "'<tool_calls>['", calls: one(bern()), text: "",
            answer: "<tool_calls>[{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\", \"days\": 2}}]</tool_calls>" },
        Sample { name: "Granite", template: "respond only with <|tool_call|> followed", calls: one(bern()), text: "",
            answer: "<|tool_call|>[{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\", \"days\": 2}}]<|/tool_call|>" },
        Sample { name: "Apertus", template: "<|tools_prefix|>", calls: two(), text: "",
            answer: "<|tools_prefix|>[{\"weather\": {\"city\": \"Bern\", \"days\": 2}}, {\"time\": {\"city\": \"Rome\"}}]<|tools_suffix|>" },
        Sample { name: "gpt-oss", template: "<|start|>assistant to= <|channel|>commentary", calls: one(bern()), text: "",
            answer: " to=functions.weather<|channel|>commentary json<|message|>{\"city\": \"Bern\", \"days\": 2}" },
        Sample { name: "gpt-oss", template: "<|start|>assistant to= <|channel|>commentary", calls: one(bern()), text: "",
            answer: "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\": \"Bern\", \"days\": 2}" },
        Sample { name: "Gemma 4", template: "<|tool_call>call: <tool_call|> <|\"|>", calls: two(), text: "So. ",
            answer: "So. <|tool_call>call:weather{city:<|\"|>Bern<|\"|>,days:2}<tool_call|><|tool_call>call:time{city:<|\"|>Rome<|\"|>}<tool_call|>" },
        Sample { name: "Functionary v3.2", template: ">>>${recipient}", calls: one(bern()), text: "I look it up.\n",
            answer: "all\nI look it up.\n>>>weather\n{\"city\": \"Bern\", \"days\": 2}" },
        Sample { name: "Functionary v3.1", template: "'<function=' + name + '>' + '</function>'", calls: two(), text: "",
            answer: "<function=weather>{\"city\": \"Bern\", \"days\": 2}</function><function=time>{\"city\": \"Rome\"}</function>" },
        Sample { name: "Llama 3", template: "tools {\"name\": function name, \"parameters\": ", calls: two(), text: "",
            answer: "\n{\"name\": \"weather\", \"parameters\": {\"city\": \"Bern\", \"days\": 2}}; {\"name\": \"time\", \"parameters\": {\"city\": \"Rome\"}}" },
        Sample { name: "Llama 3", template: "tools {\"name\": function name, \"parameters\": ", calls: one(bern()), text: "",
            answer: "<|python_tag|>{\"type\": \"function\", \"name\": \"weather\", \"parameters\": {\"city\": \"Bern\", \"days\": 2}}" },
        Sample { name: "Llama 3", template: "tools {\"name\": function name, \"parameters\": ", calls: vec![], text: "{\"name\": \"Bern\", \"parameters\": 5} is an object.",
            answer: "{\"name\": \"Bern\", \"parameters\": 5} is an object." },
    ]
}

fn parse<'a>(
    syntax: ToolSyntax,
    parts: impl IntoIterator<Item = &'a str>,
) -> (String, Vec<(Option<String>, String, Value)>) {
    let mut parser = ToolCallParser::new(syntax, &tools());
    let mut pieces: Vec<Piece> = parts.into_iter().flat_map(|part| parser.push(part)).collect();
    pieces.extend(parser.finish());
    let (mut text, mut calls) = (String::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(said) => text.push_str(&said),
            Piece::Call(call) => calls.push((call.id, call.name, call.arguments)),
        }
    }
    (text, calls)
}

fn syntax(sample: &Sample) -> ToolSyntax {
    let syntax = ToolSyntax::detect(sample.template).unwrap_or_else(|| panic!("{} was not recognised", sample.name));
    assert_eq!(syntax.name(), sample.name);
    syntax
}

#[test]
fn every_way_is_read_however_it_is_cut() {
    for sample in samples() {
        let syntax = syntax(&sample);
        let answer = sample.answer;
        let wanted: Vec<_> = sample
            .calls
            .iter()
            .map(|(id, name, arguments)| (id.map(str::to_owned), (*name).to_owned(), arguments.clone()))
            .collect();
        let check = |parts: Vec<&str>| {
            let (text, calls) = parse(syntax, parts.iter().copied());
            assert_eq!(calls, wanted, "{}: {parts:?}", sample.name);
            assert_eq!(text.trim(), sample.text.trim(), "{}: {parts:?}", sample.name);
        };
        check(vec![answer]);
        let letters: Vec<usize> = answer.char_indices().map(|(at, _)| at).collect();
        for at in &letters {
            check(vec![&answer[..*at], &answer[*at..]]);
        }
        check(letters.iter().map(|at| &answer[*at..at + answer[*at..].chars().next().unwrap().len_utf8()]).collect());
    }
}

#[test]
fn an_answer_that_is_cut_off_loses_no_words() {
    for sample in samples() {
        let syntax = syntax(&sample);
        for (at, _) in sample.answer.char_indices() {
            let (text, calls) = parse(syntax, [&sample.answer[..at]]);
            assert!(calls.len() <= sample.calls.len());
            for (call, wanted) in calls.iter().zip(&sample.calls) {
                assert_eq!((call.1.as_str(), &call.2), (wanted.1, &wanted.2), "{}", sample.name);
            }
            if calls.is_empty() && !["Functionary v3.2", "Kimi K2"].contains(&sample.name) {
                let mut rest = sample.answer[..at].chars();
                assert!(
                    text.chars().all(|letter| rest.any(|other| other == letter)),
                    "{text:?} of {:?}",
                    &sample.answer[..at]
                );
            }
        }
    }
}

#[test]
fn what_is_no_call_stays_text() {
    let hermes = ToolSyntax::detect("<tool_call>").unwrap();
    for answer in [
        "<tool_call>",
        "<tool_call></tool_call>",
        "<tool_call>{</tool_call>",
        "<tool_call>{\"name\": 5}",
        "<tool_call>[]",
        "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Be",
        "if a <tool_cal then b",
        "<tool_call>hello",
        "\u{0}<tool_call>}}}}",
    ] {
        let (text, calls) = parse(hermes, [answer]);
        assert!(calls.is_empty(), "{answer:?}: {calls:?}");
        assert!(text == answer || text == answer.replace("</tool_call>", ""), "{answer:?}: {text:?}");
    }
    for template in [">>> recipient", "<tool_call><arg_key><arg_value>", "[TOOL_CALLS][ARGS]", "<function=</function>"]
    {
        let syntax = ToolSyntax::detect(template).unwrap();
        for answer in [
            "",
            ">>>",
            "\n",
            "[TOOL_CALLS]",
            "<tool_call></tool_call>",
            "<function=>{}",
            "[TOOL_CALLS][ARGS]{}",
            "<function=a b>{}",
        ] {
            let (_, calls) = parse(syntax, [answer]);
            assert!(calls.is_empty(), "{template}, {answer:?}: {calls:?}");
        }
    }
}

/// Reading takes time in proportion to the answer, not to its square: a megabyte of unfinished calls ends at once.
#[test]
fn a_long_unfinished_call_is_read_once() {
    let long = format!("<tool_call>{{\"name\": \"weather\", \"arguments\": {{\"city\": \"{}", "x<".repeat(200_000));
    let mut parser = ToolCallParser::new(ToolSyntax::detect("<tool_call>").unwrap(), &tools());
    for part in long.as_bytes().chunks(7) {
        parser.push(str::from_utf8(part).unwrap());
    }
    assert_eq!(parser.finish(), [Piece::Text(long)]);
}

#[test]
fn templates_without_a_known_way_are_not_guessed() {
    assert!(ToolSyntax::detect("{% for message in messages %}{{ message.content }}{% endfor %}").is_none());
    assert!(ToolSyntax::detect("").is_none());
}

#[test]
fn tools_that_cannot_be_called_are_refused_and_named() {
    let named = |name: &str| ToolDefinition { name: name.into(), ..ToolDefinition::default() };
    let refused = |tools: &[ToolDefinition], choice: ToolChoice| check_tools(tools, &choice).unwrap_err().to_string();
    assert!(refused(&[named("a b")], ToolChoice::Auto).contains("a b"));
    assert!(refused(&[named("")], ToolChoice::Auto).contains("tools"));
    assert!(refused(&[named("a"), named("a")], ToolChoice::Auto).contains("twice"));
    assert!(refused(&[named("a")], ToolChoice::Named("b".into())).contains("\"b\""));
    assert!(refused(&[], ToolChoice::Required).contains("required"));
    let listed = ToolDefinition { parameters: Some(json!([])), ..named("a") };
    assert!(refused(&[listed], ToolChoice::Auto).contains("no JSON Schema"));
    assert!(check_tools(&tools(), &ToolChoice::Named("time".into())).is_ok());
}
