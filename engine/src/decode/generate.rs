//! The loop that continues a text.

use super::{Sampler, Session, StopTexts, TokenMask, choosing::Chooser};
use crate::{
    Error, Result,
    file::BoxedFuture,
    model::PlanIndex,
    protocol::StopReason,
    text::{TextStream, Tokenizer},
};

/// How to continue a text.
pub struct GenerateOptions<'a> {
    /// Turns tokens into text.
    pub tokenizer: &'a Tokenizer,
    /// How tokens become text, from the first one on.
    pub text: TextStream,
    /// At most so many new tokens.
    pub max_tokens: Option<u32>,
    /// Chooses them.
    pub sampler: Sampler,
    /// Texts at which the answer ends.
    pub stop: StopTexts,
    /// Keeps the answer in its form, from the first token on.
    pub constraint: Option<TokenMask>,
}

/// Who follows a generation.
pub trait Sink {
    /// So many of the prompt's tokens have been read.
    fn prefilled(&mut self, done_tokens: usize, prompt_tokens: usize);
    /// One more token, and the text that became whole with it.
    fn token(&mut self, id: u32, text: String);
    /// Whether to stop. Asked between tokens and between the batches of a prefill.
    fn is_stopped(&self) -> bool;
    /// Lets other work on this thread happen.
    fn pause(&self) -> BoxedFuture<'_, ()>;
}

/// How a generation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Tokens of the prompt that were still in the cache.
    pub cached_tokens: usize,
    /// New tokens, without the one that ended the turn.
    pub tokens: usize,
    /// Why it ended.
    pub stop_reason: StopReason,
}

impl Session {
    /// Continues a prompt. Tokens that the cache already holds from the turn before are not read again.
    pub async fn generate(
        &mut self,
        prompt: &[u32],
        mut options: GenerateOptions<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Outcome> {
        let context_tokens = self.context_tokens() as usize;
        if prompt.is_empty() {
            return Err(Error::invalid("prompt", "is empty"));
        }
        if prompt.len() > context_tokens {
            return Err(Error::PromptTooLong { prompt_tokens: prompt.len(), context_tokens });
        }
        let cached_tokens = self.keep_common(prompt);
        let outcome = |tokens, stop_reason| Ok(Outcome { cached_tokens, tokens, stop_reason });
        let mut chooser = Chooser::of(self.choosing, &options.sampler, options.constraint.is_some());
        if !self.prefill(prompt, &mut chooser, sink).await? {
            return outcome(0, StopReason::Cancelled);
        }
        let mut history = prompt.to_vec();
        let mut answer = Answer::default();
        let mut is_cut = false;
        let reason = loop {
            if options.max_tokens.is_some_and(|max| answer.tokens >= max as usize) {
                break StopReason::MaxTokens;
            }
            let more = options.max_tokens.map_or(usize::MAX, |max| max as usize - answer.tokens - 1);
            let choice = (&mut options.sampler, options.constraint.as_mut());
            let id = match self.choose(&mut chooser, choice, &history, (more, &|| sink.is_stopped())).await {
                Err(Error::Cancelled) => break StopReason::Cancelled,
                chosen => chosen?,
            };
            if self.model.config.end_tokens.contains(&id) || options.tokenizer.end_of_turn().contains(&id) {
                break StopReason::EndOfTurn;
            }
            history.push(id);
            let text = options.text.push(options.tokenizer, id);
            if let Some(reason) = answer.push(id, &text, &mut options.stop, sink) {
                is_cut = true;
                break reason;
            }
            if let Some(constraint) = &mut options.constraint {
                constraint.push(id)?;
                if constraint.is_complete() {
                    break StopReason::EndOfTurn;
                }
            }
            sink.pause().await;
            if sink.is_stopped() {
                break StopReason::Cancelled;
            }
            if history.len() > context_tokens {
                break StopReason::ContextFull;
            }
            match self.follow(&mut chooser, id, &|| sink.is_stopped()).await {
                Err(Error::Cancelled) => break StopReason::Cancelled,
                followed => followed?,
            }
        };
        if !is_cut {
            let rest = options.text.finish();
            answer.finish(&rest, &mut options.stop, sink);
        }
        outcome(answer.tokens, reason)
    }

    /// Keeps what the cache and the prompt have in common, but for the prompt's last token: its logits are wanted.
    fn keep_common(&mut self, prompt: &[u32]) -> usize {
        let common = self.cached.iter().zip(prompt).take_while(|(cached, wanted)| cached == wanted).count();
        self.cached.truncate(common.min(prompt.len() - 1));
        self.cached.len()
    }

    /// Reads the prompt in batches; false if it was stopped.
    pub(super) async fn prefill(&mut self, prompt: &[u32], chooser: &mut Chooser, sink: &mut dyn Sink) -> Result<bool> {
        while self.cached.len() < prompt.len() {
            let end = prompt.len().min(self.cached.len() + self.prefill_tokens() as usize);
            let batch = &prompt[self.cached.len()..end];
            let plan = if batch.len() == 1 { PlanIndex::Decode } else { PlanIndex::Prefill };
            let stop = || sink.is_stopped();
            let stepped = if self.cached.len() + batch.len() == prompt.len() {
                self.step_and_choose(plan, batch, chooser, &stop).await
            } else {
                self.step(plan, batch, &stop).await
            };
            match stepped {
                Err(Error::Cancelled) => return Ok(false),
                stepped => stepped?,
            }
            sink.prefilled(self.cached.len(), prompt.len());
            sink.pause().await;
            if sink.is_stopped() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The tokens of an answer on their way to the sink. Tokens wait while their text may still change: because a
/// character is not whole, or because it may be the beginning of a stop text.
#[derive(Default)]
struct Answer {
    tokens: usize,
    waiting: Vec<u32>,
    text: String,
}

impl Answer {
    /// Takes a token; says why the answer ends here, if a stop text came.
    fn push(&mut self, id: u32, text: &str, stop: &mut StopTexts, sink: &mut dyn Sink) -> Option<StopReason> {
        self.tokens += 1;
        self.waiting.push(id);
        let verdict = stop.push(text);
        self.text += &verdict.text;
        if verdict.stopped.is_some() || (!self.text.is_empty() && !stop.is_holding()) {
            self.release(sink);
        }
        verdict.stopped
    }

    /// Hands out what waits, the text with the last token.
    fn release(&mut self, sink: &mut dyn Sink) {
        let Some(last) = self.waiting.pop() else { return };
        for id in self.waiting.drain(..) {
            sink.token(id, String::new());
        }
        sink.token(last, std::mem::take(&mut self.text));
    }

    /// Hands out the rest; `rest` is text that no further token will complete.
    fn finish(&mut self, rest: &str, stop: &mut StopTexts, sink: &mut dyn Sink) {
        self.text += &stop.push(rest).text;
        self.text += &stop.finish();
        self.release(sink);
    }
}
