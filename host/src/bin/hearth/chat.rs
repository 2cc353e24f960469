//! `chat` and `complete`.

use std::io::{IsTerminal, Read};

use hearth_engine::protocol::{ChatMessage, Done, GenerateRequest, Loaded, Prompt, Request, Role, StopReason};
use hearth_host::EngineHandle;
use rustyline::{DefaultEditor, error::ReadlineError};

use crate::{
    args::{Chat, Complete, Generation, Global, Reasoning},
    output::{Output, Stop, count},
    session::{Said, generate, load, summary},
};

const HELP: &str = "\
/new   begins a new conversation
/help  shows this
Ctrl-C stops the answer, Ctrl-D leaves.";

/// Asks once, or talks until the person leaves.
pub fn chat(engine: &EngineHandle, chat: &Chat, global: &Global, output: &Output) -> Result<(), Stop> {
    let prompt = match chat.prompt.as_deref() {
        None if std::io::stdin().is_terminal() && !output.json => None,
        None if std::io::stdin().is_terminal() => {
            return Err(Stop::Usage("with --json a prompt is needed, here or from a pipe".to_owned()));
        }
        None | Some("-") => Some(read_input()?),
        Some(prompt) => Some(prompt.to_owned()),
    };
    if prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        return Err(Stop::Usage("the prompt is empty".to_owned()));
    }
    let base = GenerateRequest {
        tools: chat.tools.definitions()?,
        tool_choice: chat.tools.choice(),
        ..request_of(&chat.generation)?
    };
    let loaded = load(engine, global, output)?;
    if let Some(notice) = &loaded.notice {
        output.warning(notice);
    }
    match prompt {
        None => converse(engine, chat, &base, &loaded, output),
        Some(prompt) => {
            let mut messages = opening(chat);
            messages.push(ChatMessage::new(Role::User, prompt));
            let request = GenerateRequest { prompt: Prompt::Chat { messages }, ..base };
            answer(engine, request, Voice::new(output, chat.reasoning), output)
        }
    }
}

/// Prints what a model says as it comes, and what it thinks beside it.
struct Voice<'a> {
    output: &'a Output,
    has_thoughts: bool,
    is_thinking: bool,
    is_line_open: bool,
}

impl<'a> Voice<'a> {
    fn new(output: &'a Output, reasoning: Reasoning) -> Self {
        let has_thoughts = match reasoning {
            Reasoning::Auto => output.has_reader(),
            Reasoning::Show => true,
            Reasoning::Hide => false,
        };
        Self { output, has_thoughts, is_thinking: false, is_line_open: false }
    }

    fn say(&mut self, said: Said<'_>) -> Result<(), Stop> {
        match said {
            Said::Thought(thought) if self.has_thoughts => {
                self.is_thinking = true;
                self.output.thought(thought);
                Ok(())
            }
            Said::Thought(_) | Said::Text("") => Ok(()),
            Said::Text(text) => {
                self.end_thought();
                self.is_line_open = !text.ends_with('\n');
                self.output.text(text)
            }
        }
    }

    /// An empty line parts thoughts from the answer.
    fn end_thought(&mut self) {
        if std::mem::take(&mut self.is_thinking) {
            self.output.thought("\n\n");
        }
    }

    /// The rest of the terminal begins on a line of its own.
    fn end(mut self) -> Result<(), Stop> {
        self.end_thought();
        if self.is_line_open { self.output.text("\n") } else { Ok(()) }
    }
}

/// Continues a text.
pub fn complete(engine: &EngineHandle, complete: &Complete, global: &Global, output: &Output) -> Result<(), Stop> {
    let text = text_of(&complete.prompt)?;
    let base = request_of(&complete.generation)?;
    load(engine, global, output)?;
    let voice = Voice::new(output, Reasoning::Hide);
    answer(engine, GenerateRequest { prompt: Prompt::Text { text }, ..base }, voice, output)
}

/// One answer, printed as it comes, with a line about how it went.
fn answer(engine: &EngineHandle, request: GenerateRequest, mut voice: Voice<'_>, output: &Output) -> Result<(), Stop> {
    let has_form = request.constraint.is_some();
    let outcome = generate(engine, Request::Generate(request), output, |said| voice.say(said));
    voice.end()?;
    let done = outcome?;
    output.remark(&summary(&done));
    conclude(&done, has_form, output)
}

/// An answer that the person stopped is not done, and neither is one that was cut before it had its form.
fn conclude(done: &Done, has_form: bool, output: &Output) -> Result<(), Stop> {
    match done.stop_reason {
        StopReason::Cancelled => Err(Stop::Interrupted),
        StopReason::MaxTokens | StopReason::ContextFull if has_form => {
            output.warning("the answer was cut before it had the form that was asked for; allow more tokens");
            Err(Stop::Interrupted)
        }
        _ => Ok(()),
    }
}

/// A request but for its prompt.
fn request_of(generation: &Generation) -> Result<GenerateRequest, Stop> {
    Ok(GenerateRequest {
        max_tokens: generation.max_tokens,
        sampling: generation.sampling(),
        stop: generation.stop.clone(),
        constraint: generation.form.constraint()?,
        ..GenerateRequest::default()
    })
}

fn opening(chat: &Chat) -> Vec<ChatMessage> {
    let system = chat.system.iter().map(|text| ChatMessage::new(Role::System, text));
    system.collect()
}

/// A conversation at a terminal.
fn converse(
    engine: &EngineHandle,
    chat: &Chat,
    base: &GenerateRequest,
    loaded: &Loaded,
    output: &Output,
) -> Result<(), Stop> {
    let mut editor = DefaultEditor::new().map_err(|error| terminal(&error))?;
    output.line(format!(
        "{}, {} parameters, on {}. /help shows what can be typed besides words.",
        loaded.model,
        count(loaded.parameters),
        loaded.adapter
    ))?;
    let mut messages = opening(chat);
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            // At an empty prompt there is nothing to stop.
            Err(ReadlineError::Interrupted) => {
                output.remark("Ctrl-D leaves.");
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(terminal(&error)),
        };
        match line.trim() {
            "" => continue,
            "/help" => output.line(HELP)?,
            "/new" => {
                messages = opening(chat);
                output.line("A new conversation.")?;
            }
            command if command.starts_with('/') => output.line(format!("There is no {command}.\n{HELP}"))?,
            said => {
                // Only for the arrow keys; it is kept nowhere.
                let _ = editor.add_history_entry(said);
                turn(engine, base, &mut messages, said, Voice::new(output, chat.reasoning), output)?;
            }
        }
    }
}

/// One question and its answer, both of which the conversation remembers, unless it failed.
fn turn(
    engine: &EngineHandle,
    base: &GenerateRequest,
    messages: &mut Vec<ChatMessage>,
    question: &str,
    mut voice: Voice<'_>,
    output: &Output,
) -> Result<(), Stop> {
    messages.push(ChatMessage::new(Role::User, question));
    let (mut content, mut reasoning) = (String::new(), String::new());
    let request = GenerateRequest { prompt: Prompt::Chat { messages: messages.clone() }, ..base.clone() };
    let outcome = generate(engine, Request::Generate(request), output, |said| {
        match said {
            Said::Text(text) => content.push_str(text),
            Said::Thought(thought) => reasoning.push_str(thought),
        }
        voice.say(said)
    });
    voice.end()?;
    match outcome {
        Ok(done) => {
            output.remark(&summary(&done));
            // Whether earlier thoughts are read again is the template's affair.
            let reasoning = Some(reasoning).filter(|thoughts| !thoughts.is_empty());
            messages.push(ChatMessage { reasoning, ..ChatMessage::new(Role::Assistant, content) });
        }
        // The model is still there: the person can shorten the question or begin anew.
        Err(Stop::Failed(failure)) => {
            messages.pop();
            output.failure(&failure);
        }
        Err(Stop::Interrupted) => {
            messages.pop();
        }
        Err(stop) => return Err(stop),
    }
    Ok(())
}

fn read_input() -> Result<String, Stop> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| Stop::io("the standard input", &error))?;
    // The line's end belongs to the shell.
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

/// A text from an argument, or from standard input for `-`.
pub fn text_of(argument: &str) -> Result<String, Stop> {
    if argument == "-" { read_input() } else { Ok(argument.to_owned()) }
}

fn terminal(error: &ReadlineError) -> Stop {
    Stop::io("the terminal", &std::io::Error::other(error.to_string()))
}
