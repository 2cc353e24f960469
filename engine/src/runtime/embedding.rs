//! An embedding model made ready, and texts to vectors.

use super::{Emit, Runtime, loading::Report};
use crate::{
    Error, Result,
    decode::Embedder,
    file::OpenedModel,
    memory,
    model::{EmbedderConfig, SentenceConfig},
    protocol::{EmbedRequest, Embedded, Embedding, Event, LoadRequest, Loaded, ModelTask},
    text::{Sequence, Tokenizer},
};

/// An embedding model that is ready.
pub(super) struct ReadyEmbedder {
    pub(super) embedder: Embedder,
    pub(super) tokenizer: Tokenizer,
    pub(super) sentence: SentenceConfig,
    pub(super) loaded: Loaded,
}

impl Runtime {
    /// Puts an opened embedding model on the device that was asked for.
    pub(super) async fn load_embedder(
        &self,
        name: String,
        opened: &OpenedModel,
        config: EmbedderConfig,
        request: &LoadRequest,
        report: &mut Report<'_>,
    ) -> Result<ReadyEmbedder> {
        let tokenizer = Tokenizer::from_documents(&opened.documents)?;
        let sentence = SentenceConfig::read(opened, &config)?;
        let tokens_max = sentence.plan_tokens(&config, request.context_tokens)?;
        let architecture = config.architecture().to_owned();
        let model = config.record(&opened.catalog, tokens_max)?;
        let (embedder, choice) = self
            .open_on(request.device, async |choice| {
                if choice.adapter.is_none() {
                    memory::admit_encoder(&model, self.platform.memory().available_bytes)?;
                }
                let device = self.open_device(choice).await?;
                Embedder::load(device, &opened.catalog, model.clone(), &mut *report.progress).await
            })
            .await?;
        let loaded = Loaded {
            model: name,
            architecture,
            tasks: vec![ModelTask::Embed],
            parameters: opened.catalog.parameters(),
            weights_bytes: opened.catalog.weights_bytes(),
            context_tokens: tokens_max,
            has_chat_template: false,
            notice: None,
            route: super::loading::route(choice.adapter.is_some()),
            adapter: embedder.device().name(),
            reason: choice.reason,
            load_ms: self.platform.now_ms() - report.started_ms,
            memory: None,
        };
        Ok(ReadyEmbedder { embedder, tokenizer, sentence, loaded })
    }

    /// Turns each text into a vector, and says so as it goes.
    pub(super) async fn embed(
        &self,
        ready: &mut ReadyEmbedder,
        id: u32,
        request: &EmbedRequest,
        emit: &mut Emit<'_>,
    ) -> Result<Embedded> {
        let started_ms = self.platform.now_ms();
        if request.texts.is_empty() {
            return Err(Error::invalid("texts", "are empty: give at least one"));
        }
        let pooling = request.pooling.unwrap_or(ready.sentence.pooling);
        let mut done = Embedded {
            route: ready.loaded.route,
            adapter: ready.loaded.adapter.clone(),
            texts: request.texts.len() as u32,
            truncated: 0,
            dimensions: ready.embedder.dimensions(),
            tokens: 0,
            pooling,
            elapsed_ms: 0.0,
        };
        for (index, text) in request.texts.iter().enumerate() {
            if self.cancellations.is_requested(id) {
                return Err(Error::Cancelled);
            }
            let sequence = ready.sequence(index, text, request)?;
            let truncated = sequence.is_truncated();
            let normalize = request.normalize.unwrap_or(true);
            let vector = ready.embedder.embed(&sequence.ids, pooling, normalize).await?;
            done.tokens += sequence.ids.len() as u64;
            done.truncated += u32::from(truncated);
            let (index, tokens) = (index as u32, sequence.ids.len() as u32);
            if !emit(Event::Embedding(Embedding { index, tokens, truncated, vector })) {
                return Err(Error::Cancelled);
            }
            self.platform.pause().await;
        }
        done.elapsed_ms = self.platform.now_ms() - started_ms;
        Ok(done)
    }
}

impl ReadyEmbedder {
    /// The tokens of one of the texts, behind the words that belong before its kind.
    fn sequence(&self, index: usize, text: &str, request: &EmbedRequest) -> Result<Sequence> {
        let prompt = request.prompt.as_deref().unwrap_or_else(|| self.sentence.prompt(request.kind));
        let mut whole = format!("{prompt}{text}");
        if self.sentence.lowercase {
            whole = whole.to_lowercase();
        }
        let tokens_max = self.embedder.tokens_max() as usize;
        let sequence = self.tokenizer.encode_sequence(&whole, tokens_max)?;
        if sequence.is_truncated() && request.truncate == Some(false) {
            let reason = format!(
                "has {} tokens, but at most {tokens_max} are read here: cut it into parts, or allow truncation",
                sequence.whole_tokens
            );
            return Err(Error::invalid(format!("text {index}"), reason));
        }
        Ok(sequence)
    }
}
