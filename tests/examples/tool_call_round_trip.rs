//! Writes a call with each chat template of a folder and reads it back: `tool_call_round_trip FOLDER`.
//!
//! Prints a line a template: its name, the way of writing calls that was recognised, and what came back: `same`, or
//! what differs.

use std::{env, fs, io, io::Write};

use hearth_engine::{
    Result,
    protocol::{ChatMessage, Role, ToolCall, ToolDefinition},
    text::{
        ChatInput, ChatTemplate, LocalTime,
        tool_calls::{self, Piece, ToolCallParser, ToolSyntax},
    },
};
use serde_json::json;

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "jinja")) {
        let source = fs::read_to_string(path)?;
        let (way, outcome) = match ToolSyntax::detect(&source) {
            None => ("-", "has no known way".to_owned()),
            Some(syntax) => (syntax.name(), round_trip(&source, syntax).unwrap_or_else(|error| error.to_string())),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(io::stdout(), "{name:60} {way:18} {outcome}")?;
    }
    Ok(())
}

fn round_trip(source: &str, syntax: ToolSyntax) -> Result<String> {
    let mut template = ChatTemplate::from_source(source, "", "");
    template.set_now(Some(LocalTime { year: 2026, month: 3, day: 5, hour: 9, minute: 7, second: 0 }));
    let arguments = json!({"city": "Bern", "days": 2});
    let call = ToolCall { id: "abcdefghi".into(), name: "weather".into(), arguments: arguments.clone() };
    let user = ChatMessage::new(Role::User, "What will the weather be?");
    let assistant = ChatMessage { tool_calls: vec![call], ..ChatMessage::new(Role::Assistant, "") };
    let parameters = json!({"type": "object", "properties": {
        "city": {"type": "string", "description": "Where."}, "days": {"type": "integer", "description": "How many."}}});
    let tools = [ToolDefinition {
        name: "weather".into(),
        description: Some("The weather.".into()),
        parameters: Some(parameters),
    }];
    let render = |messages: &[ChatMessage], add_generation_prompt| {
        let mut input = ChatInput::new(messages, add_generation_prompt)?;
        input.tools = Some(tool_calls::definitions(&tools));
        template.render_input(&input).or_else(|error| match tool_calls::with_arguments_as_text(&input.messages) {
            Some(messages) => template.render_input(&ChatInput { messages, ..input.clone() }),
            None => Err(error),
        })
    };
    let prompt = render(std::slice::from_ref(&user), true)?;
    let question = render(std::slice::from_ref(&user), false)?;
    let whole = render(&[user, assistant], false)?;
    // Some prompts end with what is not kept, such as an empty thought.
    let rest = whole.strip_prefix(prompt.as_str()).or_else(|| whole.strip_prefix(question.as_str()));
    let answer = rest.unwrap_or(whole.as_str());
    let mut parser = ToolCallParser::new(syntax, &tools);
    let mut pieces = parser.push(answer);
    pieces.extend(parser.finish());
    let calls: Vec<_> =
        pieces.iter().filter_map(|piece| if let Piece::Call(call) = piece { Some(call) } else { None }).collect();
    Ok(match calls[..] {
        [call] if call.name == "weather" && call.arguments == arguments => "same".to_owned(),
        _ => format!("{answer:?}: {calls:?}"),
    })
}
