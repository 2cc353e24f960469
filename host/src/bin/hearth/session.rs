//! Requests of the command line, from the first event to the last.

use hearth_engine::{
    Error,
    protocol::{Done, Event, Failure, FailureCode, LoadRequest, LoadStage, Loaded, Loading, Request, StopReason},
    tensor::KvFormat,
};
use hearth_host::EngineHandle;

use crate::{
    args::Global,
    interrupt::Interruptible,
    output::{Output, Stop, bytes},
};

/// Sends a request and shows each of its events. Returns the last, if it is not a failure.
pub fn request(
    engine: &EngineHandle,
    request: Request,
    mut on_event: impl FnMut(&Event) -> Result<(), Stop>,
) -> Result<Event, Stop> {
    let (ticket, events) = engine.events(request);
    let _interruptible = Interruptible::new(ticket);
    for event in events {
        match event {
            Event::Failed(Failure { code: FailureCode::Cancelled, .. }) => return Err(Stop::Interrupted),
            Event::Failed(failure) => return Err(failure.into()),
            event => {
                // An early return drops the events, which stops the request.
                on_event(&event)?;
                if event.is_terminal() {
                    return Ok(event);
                }
            }
        }
    }
    Err(Error::DeviceFault { reason: "the engine gave no answer".to_owned() }.into())
}

/// Loads the model that was asked for, and shows how far it is.
pub fn load(engine: &EngineHandle, global: &Global, output: &Output) -> Result<Loaded, Stop> {
    load_with(engine, global, global.kv_cache(KvFormat::default()), output)
}

/// The same, with keys and values cached so.
pub fn load_with(engine: &EngineHandle, global: &Global, kv_cache: KvFormat, output: &Output) -> Result<Loaded, Stop> {
    let model = global.model.as_deref().unwrap_or("the bundled model");
    let last = request(engine, Request::Load(LoadRequest { kv_cache, ..global.load() }), |event| {
        if let Event::Loading(loading) = event {
            output.progress(&loading_line(model, loading));
        }
        if output.json && output.verbose { output.json(event) } else { Ok(()) }
    })?;
    output.end_progress();
    match last {
        Event::Loaded(loaded) => {
            tracing::info!(adapter = loaded.adapter, reason = loaded.reason, load_ms = loaded.load_ms, "loaded");
            Ok(loaded)
        }
        other => Err(unexpected(&other)),
    }
}

/// How far a loading is, in a line for a person.
pub fn loading_line(model: &str, loading: &Loading) -> String {
    let seconds = loading.elapsed_ms / 1000.0;
    let (done, total) = (bytes(loading.done_bytes), bytes(loading.total_bytes));
    match loading.stage {
        LoadStage::Opening => format!("Opening {model} … {seconds:.1} s"),
        LoadStage::Weights => format!("Loading {model} … {done} of {total}, {seconds:.1} s"),
        LoadStage::Compiling => format!("Preparing {model} … {seconds:.1} s"),
    }
}

/// What a model says.
#[derive(Clone, Copy)]
pub enum Said<'a> {
    /// A part of its answer.
    Text(&'a str),
    /// A part of what it thinks before.
    Thought(&'a str),
}

/// Generates, and gives what is said to `on_said`; with `--json` prints the events instead.
pub fn generate(
    engine: &EngineHandle,
    generation: Request,
    output: &Output,
    mut on_said: impl FnMut(Said<'_>) -> Result<(), Stop>,
) -> Result<Done, Stop> {
    let last = request(engine, generation, |event| match event {
        Event::Token { .. } if output.json => output.json(event),
        Event::Token { text, reasoning, .. } => {
            output.end_progress();
            reasoning.as_deref().map_or(Ok(()), |thought| on_said(Said::Thought(thought)))?;
            on_said(Said::Text(text))
        }
        Event::ToolCall { .. } if output.json => output.json(event),
        Event::ToolCall { name, arguments, .. } => {
            output.end_progress();
            on_said(Said::Text(&format!("{}\n", serde_json::json!({ "name": name, "arguments": arguments }))))
        }
        Event::Prefilled { .. } if output.json && output.verbose => output.json(event),
        Event::Prefilled { done_tokens, prompt_tokens } if done_tokens < prompt_tokens => {
            output.progress(&format!("Reading … {done_tokens} of {prompt_tokens} tokens"));
            Ok(())
        }
        Event::Done(_) if output.json => output.json(&done_line(event)?),
        _ => Ok(()),
    })?;
    match last {
        Event::Done(done) => Ok(done),
        other => Err(unexpected(&other)),
    }
}

/// The last line of `chat --json` and `complete --json`. One prompt alone finds no cache, so it says nothing of it.
fn done_line(event: &Event) -> Result<serde_json::Value, Stop> {
    let mut line = serde_json::to_value(event).map_err(|error| Error::invalid("the output", error))?;
    if let Some(fields) = line.as_object_mut() {
        fields.shift_remove("cached_tokens");
    }
    Ok(line)
}

/// How it went, in a line for a person.
pub fn summary(done: &Done) -> String {
    let end = match done.stop_reason {
        StopReason::EndOfTurn | StopReason::StopText | StopReason::ToolCalls => "",
        StopReason::MaxTokens => " · cut at the most tokens allowed",
        StopReason::ContextFull => " · the context is full",
        StopReason::Cancelled => " · stopped",
    };
    format!(
        "{} tokens · {:.1} tokens/s · first after {:.0} ms · {}{end}",
        done.tokens, done.decode_tokens_per_s, done.first_token_ms, done.adapter
    )
}

/// An answer of the wrong kind, which no engine should give.
pub fn unexpected(event: &Event) -> Stop {
    Error::DeviceFault { reason: format!("the engine answered out of turn: {event:?}") }.into()
}
