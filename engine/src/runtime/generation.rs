//! An answer, from the request to its last event.

use super::{
    Cancellations, Emit, Platform, Ready, Runtime,
    outlet::Outlet,
    prompt::{self, Prepared},
};
use crate::{
    Error, Result,
    decode::{self, Sampler, Sink, StopTexts, StreamCounts},
    file::BoxedFuture,
    protocol::{Done, Event, GenerateRequest, StopReason, Streamed},
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
    let Prepared { ids: prompt, text, constraint, stop, marks } = prompt::prepare(ready, request)?;
    let mut sink = EventSink {
        emit,
        platform,
        cancellations: &runtime.cancellations,
        id,
        gone: false,
        first_ms: None,
        last_ms: started_ms,
        tokens: 0,
        outlet: Outlet::new(marks, platform.random_seed()),
    };
    let before = ready.session.stream_counts();
    let options = decode::GenerateOptions {
        tokenizer: &ready.tokenizer,
        text,
        max_tokens: request.max_tokens,
        sampler: Sampler::new(request.sampling, platform.random_seed())?,
        stop: StopTexts::new(&request.stop).with_turn_ends(stop),
        constraint,
    };
    let outcome = ready.session.generate(&prompt, options, &mut sink).await?;
    let rest = sink.outlet.finish();
    rest.into_iter().for_each(|event| sink.emit(event));
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
            StopReason::EndOfTurn if sink.outlet.has_calls() => StopReason::ToolCalls,
            reason => reason,
        },
        streamed: ready.session.placement().is_some().then(|| streamed(before, ready.session.stream_counts())),
    })
}

/// What was read in between.
fn streamed(before: StreamCounts, after: StreamCounts) -> Streamed {
    Streamed {
        bytes: after.bytes.saturating_sub(before.bytes),
        units: after.units.saturating_sub(before.units),
        ahead: after.ahead.saturating_sub(before.ahead),
    }
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
    outlet: Outlet,
}

impl EventSink<'_, '_> {
    fn emit(&mut self, event: Event) {
        self.gone |= !(self.emit)(event);
    }
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
        for event in self.outlet.push(id, text) {
            self.emit(event);
        }
    }

    fn is_stopped(&self) -> bool {
        self.gone || self.cancellations.is_requested(self.id)
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        self.platform.pause()
    }
}
