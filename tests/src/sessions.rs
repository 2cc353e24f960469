//! A model on a device, below the protocol.

use hearth_engine::{
    Result,
    decode::{GenerateOptions, Outcome, Sampler, Session, SessionOptions, Sink, StopTexts},
    device::Device,
    file::{BoxedFuture, OpenedModel, open_model},
    model::{Model, ModelConfig},
    protocol::Sampling,
    tensor::KvFormat,
    text::{TextStream, Tokenizer},
};

use crate::{devices::Candidate, files};

/// Opens a model of the repository.
pub fn open(path: &str) -> OpenedModel {
    let (folder, file) = files::model(path);
    pollster::block_on(open_model(&folder, file.as_deref())).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Loads a model onto a candidate, with logits for every position. Keys and values are kept in F32: what is compared
/// with other programs shall not be rounded.
pub fn load(candidate: &Candidate, opened: &OpenedModel, context_tokens: u32) -> Result<Session> {
    load_with(candidate, opened, context_tokens, KvFormat::F32)
}

/// The same, with keys and values kept as is wished.
pub fn load_with(
    candidate: &Candidate,
    opened: &OpenedModel,
    context_tokens: u32,
    kv_cache: KvFormat,
) -> Result<Session> {
    let config = ModelConfig::read(&opened.documents)?;
    let model = Model::record(config, &opened.catalog, context_tokens, true)?;
    load_on_with(candidate.open(&model.program), opened, context_tokens, kv_cache)
}

/// Loads a model onto a device, with logits for every position, and keys and values in F32.
pub fn load_on(device: Device, opened: &OpenedModel, context_tokens: u32) -> Result<Session> {
    load_on_with(device, opened, context_tokens, KvFormat::F32)
}

/// The same, with keys and values kept as is wished.
pub fn load_on_with(device: Device, opened: &OpenedModel, context_tokens: u32, kv_cache: KvFormat) -> Result<Session> {
    let options = SessionOptions { context_tokens, scoring: true, kv_cache };
    pollster::block_on(Session::load(device, opened, options, &mut |_| Ok(())))
}

/// Continues a prompt greedily: the tokens, the text, and how it ended.
pub fn greedy(session: &mut Session, tokenizer: &Tokenizer, ids: &[u32], max_tokens: u32) -> Result<Answer> {
    generate(session, tokenizer, ids, max_tokens, &mut |_| {})
}

/// The same; `on_token` is called with the number of tokens so far.
pub fn generate(
    session: &mut Session,
    tokenizer: &Tokenizer,
    ids: &[u32],
    max_tokens: u32,
    on_token: &mut dyn FnMut(usize),
) -> Result<Answer> {
    let options = GenerateOptions {
        tokenizer,
        text: TextStream::continuing(),
        max_tokens: Some(max_tokens),
        sampler: Sampler::new(Sampling::greedy(), 0)?,
        stop: StopTexts::new(&[]),
        constraint: None,
    };
    let mut collector = Collector { ids: Vec::new(), text: String::new(), on_token };
    let outcome = pollster::block_on(session.generate(ids, options, &mut collector))?;
    Ok(Answer { ids: collector.ids, text: collector.text, outcome })
}

/// What a generation gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The new tokens.
    pub ids: Vec<u32>,
    /// Their text.
    pub text: String,
    /// How it ended.
    pub outcome: Outcome,
}

struct Collector<'a> {
    ids: Vec<u32>,
    text: String,
    on_token: &'a mut dyn FnMut(usize),
}

impl Sink for Collector<'_> {
    fn prefilled(&mut self, _done_tokens: usize, _prompt_tokens: usize) {}

    fn token(&mut self, id: u32, text: String) {
        self.ids.push(id);
        self.text += &text;
        (self.on_token)(self.ids.len());
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
