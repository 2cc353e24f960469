//! An answer, from the request to its last event.

use super::{Cancellations, Emit, Platform, Ready, Runtime};
use crate::{
    Error, Result,
    decode::{self, Grammars, Sampler, Sink, StopTexts, TokenMask},
    file::BoxedFuture,
    protocol::{Constraint, Done, Event, GenerateRequest, Prompt, StopReason},
    text::{EncodeOptions, TextStream},
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
    let constraint = constrain(ready, request.constraint.as_ref())?;
    let (prompt, mut text) = encode(ready, &request.prompt)?;
    if constraint.is_some() {
        // The form holds for each byte: none is taken away from the beginning.
        text = TextStream::continuing();
    }
    let mut sink = EventSink {
        emit,
        platform,
        cancellations: &runtime.cancellations,
        id,
        gone: false,
        first_ms: None,
        last_ms: started_ms,
        tokens: 0,
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
        stop_reason: outcome.stop_reason,
    })
}

/// What keeps the answer in its form.
fn constrain(ready: &Ready, constraint: Option<&Constraint>) -> Result<Option<TokenMask>> {
    let Some(constraint) = constraint else { return Ok(None) };
    let grammars = match ready.grammars.get() {
        Some(grammars) => grammars,
        None => {
            let grammars = Grammars::new(&ready.session, &ready.tokenizer)?;
            ready.grammars.get_or_init(|| grammars)
        }
    };
    grammars.compile(constraint).map(Some)
}

/// The prompt's tokens, and how the answer's become text.
fn encode(ready: &Ready, prompt: &Prompt) -> Result<(Vec<u32>, TextStream)> {
    match prompt {
        Prompt::Text { text } => {
            let options = EncodeOptions { parse_special: false, add_special: true };
            let mut ids = ready.tokenizer.encode(text, options)?;
            if ids.is_empty() {
                ids.extend(ready.tokenizer.bos());
            }
            Ok((ids, TextStream::continuing()))
        }
        Prompt::Chat { messages } => {
            if messages.is_empty() {
                return Err(Error::invalid("messages", "are empty"));
            }
            let template =
                ready.template.as_ref().ok_or_else(|| Error::Template { reason: "the model brought none".into() })?;
            Ok((ready.tokenizer.encode_chat(template, messages, true)?, TextStream::new()))
        }
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
}

impl Sink for EventSink<'_, '_> {
    fn prefilled(&mut self, done_tokens: usize, prompt_tokens: usize) {
        let event = Event::Prefilled { done_tokens: done_tokens as u32, prompt_tokens: prompt_tokens as u32 };
        self.gone |= !(self.emit)(event);
    }

    fn token(&mut self, id: u32, text: String) {
        self.last_ms = self.platform.now_ms();
        self.first_ms.get_or_insert(self.last_ms);
        self.tokens += 1;
        self.gone |= !(self.emit)(Event::Token { id, text });
    }

    fn is_stopped(&self) -> bool {
        self.gone || self.cancellations.is_requested(self.id)
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        self.platform.pause()
    }
}
