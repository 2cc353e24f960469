//! An engine of its own that turns chunks and questions into vectors.

use hearth_engine::protocol::{EmbedRequest, Event, Failure, FailureCode, LoadRequest, Loaded, Request, TextKind};

use super::error::{DocumentError, Result};
use crate::{EngineHandle, RequestTicket};

/// Fewer tokens than this make no passage.
const PASSAGE_TOKENS_MIN: usize = 8;

/// How far embedding is.
pub struct EmbedProgress<'a> {
    /// Chunks that have a vector.
    pub done_chunks: usize,
    /// All of the document's.
    pub total_chunks: usize,
    /// Stops it from any thread.
    pub ticket: &'a RequestTicket,
}

/// An engine with an embedding model.
pub struct Encoder {
    engine: EngineHandle,
    loaded: Loaded,
    /// Tokens that each text has beside its own: those at its ends, and the words that the model wants before it.
    around_tokens: usize,
}

impl Encoder {
    /// Loads an embedding model into an engine, which serves nothing else from then on. `on_event` is told how far
    /// loading is.
    pub fn load(
        engine: EngineHandle,
        request: LoadRequest,
        mut on_event: impl FnMut(&RequestTicket, &Event),
    ) -> Result<Self> {
        if request.model.is_empty() {
            return Err(DocumentError::NoEmbeddingModel);
        }
        let (ticket, events) = engine.events(Request::Load(request));
        let mut last = None;
        for event in events {
            on_event(&ticket, &event);
            last = Some(event);
        }
        let loaded = match last {
            Some(Event::Loaded(loaded)) => loaded,
            Some(Event::Failed(failure)) => return Err(DocumentError::Engine(failure)),
            _ => return Err(silent()),
        };
        let mut encoder = Self { engine, loaded, around_tokens: 0 };
        encoder.around_tokens = encoder.measure_around()?;
        if encoder.passage_tokens_max() < PASSAGE_TOKENS_MIN {
            let tokens_max = encoder.loaded.context_tokens as usize;
            return Err(DocumentError::ModelTooShort { model: encoder.loaded.model, tokens_max });
        }
        Ok(encoder)
    }

    /// What is loaded.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Tokens of the longest text that is read whole.
    pub fn passage_tokens_max(&self) -> usize {
        (self.loaded.context_tokens as usize).saturating_sub(self.around_tokens)
    }

    /// Tokens of a text, without those around it.
    pub fn count_tokens(&self, text: &str) -> Result<usize> {
        Ok(self.engine.tokenize(text, false)?.len())
    }

    /// The vectors of a document's chunks, each of length 1. `progress` returns false to stop.
    pub fn embed_chunks(
        &self,
        texts: Vec<String>,
        progress: &mut dyn FnMut(EmbedProgress<'_>) -> bool,
    ) -> Result<Vec<Vec<f32>>> {
        let total_chunks = texts.len();
        let vectors = self.embed(texts, TextKind::Document, &mut |done_chunks, ticket| {
            progress(EmbedProgress { done_chunks, total_chunks, ticket })
        })?;
        Ok(vectors.into_iter().map(|(_, vector)| vector).collect())
    }

    /// The vector of a question, of length 1.
    pub fn embed_question(&self, question: &str) -> Result<Vec<f32>> {
        let vectors = self.embed(vec![question.to_owned()], TextKind::Query, &mut |_, _| true)?;
        vectors.into_iter().next().map(|(_, vector)| vector).ok_or_else(silent)
    }

    fn measure_around(&self) -> Result<usize> {
        const WORD: &str = "a";
        let found = self.embed(vec![WORD.to_owned()], TextKind::Document, &mut |_, _| true)?;
        let whole = found.first().map_or(0, |(tokens, _)| *tokens as usize);
        Ok(whole.saturating_sub(self.count_tokens(WORD)?))
    }

    /// The tokens and the vector of each text. `listen` hears how many are done, first of none.
    fn embed(
        &self,
        texts: Vec<String>,
        kind: TextKind,
        listen: &mut dyn FnMut(usize, &RequestTicket) -> bool,
    ) -> Result<Vec<(u32, Vec<f32>)>> {
        let count = texts.len();
        let request = EmbedRequest { texts, kind: Some(kind), ..EmbedRequest::default() };
        let (ticket, events) = self.engine.events(Request::Embed(request));
        if !listen(0, &ticket) {
            ticket.cancel();
            return Err(DocumentError::Cancelled);
        }
        let mut found = Vec::with_capacity(count);
        for event in events {
            match event {
                Event::Embedding(embedding) => {
                    found.push((embedding.tokens, embedding.vector));
                    if !listen(found.len(), &ticket) {
                        ticket.cancel();
                        return Err(DocumentError::Cancelled);
                    }
                }
                Event::Embedded(_) if found.len() == count => return Ok(found),
                Event::Failed(failure) => return Err(failure.into()),
                _ => {}
            }
        }
        Err(silent())
    }
}

/// The engine's thread ended without a word.
fn silent() -> DocumentError {
    let reason = hearth_engine::Error::DeviceFault { reason: "the engine gave no answer".to_owned() };
    DocumentError::Engine(Failure { code: FailureCode::DeviceFault, ..Failure::from(&reason) })
}
