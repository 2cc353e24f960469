//! An answer, from the request to its last event.

use super::{
    Cancellations, Emit, Platform, Ready, Runtime,
    prompt::{self, Prepared},
};
use crate::{
    Error, Result,
    decode::{self, Sampler, Sink, StopTexts},
    file::BoxedFuture,
    protocol::{Done, Event, GenerateRequest, StopReason},
    text::tool_calls::{Piece, ToolCallParser},
};

/// Continues the request's prompt.
pub(super) async fn generate(
    runtime: &Runtime,
    ready: &mut Ready,
    id: u32,
    request: &GenerateRequest,
    emit: &mut Emit<'_>,
) -> Result<Done> {
    let platform = &*runtime.platform;
    let started_ms = platform.now_ms();
    let Prepared { ids: prompt, text, constraint, calls } = prompt::prepare(ready, request)?;
    let mut sink = EventSink {
        emit,
        platform,
        cancellations: &runtime.cancellations,
        id,
        gone: false,
        first_ms: None,
        last_ms: started_ms,
        tokens: 0,
        calls: calls.map(|parser| Calls { parser, waiting: None, count: 0, seed: platform.random_seed() }),
    };
    let options = decode::GenerateOptions {
        tokenizer: &ready.tokenizer,
        text,
        max_tokens: request.max_tokens,
        sampler: Sampler::new(request.sampling, platform.random_seed())?,
        stop: StopTexts::new(&request.stop),
        constraint,
    };
    let outcome = ready.session.generate(&prompt, options, &mut sink).await?;
    let has_calls = sink.finish();
    if sink.gone && outcome.stop_reason == StopReason::Cancelled {
        return Err(Error::Cancelled);
    }
    let decode_ms = sink.first_ms.map_or(0.0, |first_ms| sink.last_ms - first_ms);
    let decode_tokens_per_s =
        if sink.tokens > 1 && decode_ms > 0.0 { f64::from(sink.tokens - 1) * 1000.0 / decode_ms } else { 0.0 };
    Ok(Done {
        route: ready.loaded.route,
        adapter: ready.loaded.adapter.clone(),
        prompt_tokens: prompt.len() as u32,
        cached_tokens: outcome.cached_tokens as u32,
        tokens: outcome.tokens as u32,
        first_token_ms: sink.first_ms.map_or(0.0, |first_ms| first_ms - started_ms),
        decode_tokens_per_s,
        stop_reason: match outcome.stop_reason {
            StopReason::EndOfTurn if has_calls => StopReason::ToolCalls,
            reason => reason,
        },
    })
}

/// Turns what happens into events, and measures.
struct EventSink<'a, 'b> {
    emit: &'a mut Emit<'b>,
    platform: &'a dyn Platform,
    cancellations: &'a Cancellations,
    id: u32,
    /// Nobody listens any more.
    gone: bool,
    first_ms: Option<f64>,
    last_ms: f64,
    tokens: u32,
    calls: Option<Calls>,
}

/// Calls of functions on their way out of the text.
struct Calls {
    parser: ToolCallParser,
    /// The newest token, while its text may still turn out to be part of a call.
    waiting: Option<(u32, String)>,
    count: u32,
    seed: u32,
}

impl EventSink<'_, '_> {
    fn emit(&mut self, event: Event) {
        self.gone |= !(self.emit)(event);
    }

    /// A token's text, with the calls taken out.
    fn sort(&mut self, mut calls: Calls, id: u32, text: &str) {
        if let Some((id, text)) = calls.waiting.take() {
            self.emit(Event::Token { id, text });
        }
        let (mut said, mut found) = (String::new(), Vec::new());
        for piece in calls.parser.push(text) {
            match piece {
                Piece::Text(text) => said.push_str(&text),
                Piece::Call(call) => found.push(call),
            }
        }
        if calls.parser.is_holding() {
            calls.waiting = Some((id, said));
        } else {
            self.emit(Event::Token { id, text: said });
        }
        for call in found {
            let index = calls.count;
            calls.count += 1;
            let id = call.id.unwrap_or_else(|| call_id(calls.seed, index));
            self.emit(Event::ToolCall { index, id, name: call.name, arguments: call.arguments });
        }
        self.calls = Some(calls);
    }

    /// Hands out what still waits; whether there were calls.
    fn finish(&mut self) -> bool {
        let Some(mut calls) = self.calls.take() else { return false };
        let rest = calls.parser.finish().into_iter();
        let rest: String =
            rest.filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None }).collect();
        if let Some((id, text)) = calls.waiting {
            self.emit(Event::Token { id, text: text + &rest });
        }
        calls.count > 0
    }
}

/// An id for a call whose model gave it none: nine letters and digits, which is what Mistral's templates insist on.
fn call_id(seed: u32, index: u32) -> String {
    let mut number = (u64::from(seed) << 14) ^ u64::from(index);
    let digit = |_| {
        let digit = (number % 36) as u32;
        number /= 36;
        char::from_digit(digit, 36).unwrap_or('0')
    };
    (0..9).map(digit).collect()
}

impl Sink for EventSink<'_, '_> {
    fn prefilled(&mut self, done_tokens: usize, prompt_tokens: usize) {
        let event = Event::Prefilled { done_tokens: done_tokens as u32, prompt_tokens: prompt_tokens as u32 };
        self.emit(event);
    }

    fn token(&mut self, id: u32, text: String) {
        self.last_ms = self.platform.now_ms();
        self.first_ms.get_or_insert(self.last_ms);
        self.tokens += 1;
        match self.calls.take() {
            Some(calls) => self.sort(calls, id, &text),
            None => self.emit(Event::Token { id, text }),
        }
    }

    fn is_stopped(&self) -> bool {
        self.gone || self.cancellations.is_requested(self.id)
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        self.platform.pause()
    }
}
