//! What answers the protocol's requests: one model on one device, the same behind every route.

mod advising;
mod benching;
mod description;
mod embedding;
mod generation;
mod inspecting;
mod loading;
mod outlet;
mod pipelines;
mod platform;
mod probing;
mod prompt;

pub use platform::{Cancellations, ModelLocation, Platform};

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use crate::{
    Error, Result,
    decode::{Grammars, Score, Session},
    protocol::{Event, Failure, LoadRequest, Loaded, ModelTask, Request, Route},
    text::{ChatTemplate, EncodeOptions, Tokenizer},
};

use embedding::ReadyEmbedder;

/// Answers requests. Lives on one thread; [`Cancellations`] may be shared with others.
pub struct Runtime {
    platform: Rc<dyn Platform>,
    cancellations: Cancellations,
    /// Taken out while a request works with it, so that a second request meanwhile is refused rather than mixed up.
    ready: RefCell<Slot>,
}

/// What the runtime holds.
enum Slot {
    Empty,
    Busy,
    Ready(Box<Ready>),
    Embedder(Box<ReadyEmbedder>),
}

/// A model that is ready.
struct Ready {
    session: Session,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    /// Built when the first answer in a given form is asked for.
    grammars: OnceCell<Grammars>,
    request: LoadRequest,
    loaded: Loaded,
}

/// Where a request's events go. Returns false when nobody listens any more.
pub type Emit<'a> = dyn FnMut(Event) -> bool + 'a;

impl Runtime {
    /// On some platform, without a model.
    pub fn new(platform: Rc<dyn Platform>) -> Self {
        Self { platform, cancellations: Cancellations::default(), ready: RefCell::new(Slot::Empty) }
    }

    /// For those who want to stop requests.
    pub fn cancellations(&self) -> Cancellations {
        self.cancellations.clone()
    }

    /// Answers one request; the last event is terminal.
    pub async fn handle(&self, id: u32, request: Request, emit: &mut Emit<'_>) {
        let answer = match request {
            Request::Probe => Ok(Event::Probed(probing::probe(&*self.platform).await)),
            Request::Cancel { target } => {
                self.cancellations.request(target);
                Ok(Event::Cancelling)
            }
            Request::Unload => self.clear().map(|()| Event::Unloaded),
            Request::Models => self.platform.models().await.map(Event::Models),
            Request::Inspect(request) => {
                let report = inspecting::inspect(&*self.platform, &request, self.freed_bytes()).await;
                report.map(|report| Event::Inspected(Box::new(report)))
            }
            Request::AddModel { path } => self.platform.add_model(&path).await.map(|model| Event::ModelAdded { model }),
            Request::RemoveModel { model } => {
                self.platform.remove_model(&model).await.map(|()| Event::ModelRemoved { model })
            }
            Request::Load(request) => self.load(id, request, false, emit).await.map(Event::Loaded),
            Request::Generate(request) => match self.take() {
                Ok(mut ready) => {
                    let answer = generation::generate(self, &mut ready, id, &request, emit).await;
                    self.put_unless_broken(&answer, Slot::Ready(ready));
                    answer.map(Event::Done)
                }
                Err(error) => Err(error),
            },
            // A host that keeps documents answers these before they get here.
            Request::Documents
            | Request::AddDocument(_)
            | Request::RemoveDocument { .. }
            | Request::RefreshDocuments { .. }
            | Request::SearchDocuments(_) => Err(Error::NoLibrary),
            Request::Embed(request) => match self.take_embedder() {
                Ok(mut ready) => {
                    let answer = self.embed(&mut ready, id, &request, emit).await;
                    self.put_unless_broken(&answer, Slot::Embedder(ready));
                    answer.map(Event::Embedded)
                }
                Err(error) => Err(error),
            },
            Request::Bench(request) => {
                self.bench(id, &request, emit).await.map(|report| Event::Benched(Box::new(report)))
            }
        };
        self.cancellations.finish(id);
        emit(answer.unwrap_or_else(|error| {
            tracing::info!(id, %error, "a request failed");
            Event::Failed(Failure::from(&error))
        }));
    }

    /// Tokens of a text under the loaded model's tokenizer.
    pub fn tokenize(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let slot = self.ready.borrow();
        let tokenizer = match &*slot {
            Slot::Ready(ready) => &ready.tokenizer,
            Slot::Embedder(ready) => &ready.tokenizer,
            Slot::Busy => return Err(Error::Busy),
            Slot::Empty => return Err(Error::NotLoaded),
        };
        tokenizer.encode(text, EncodeOptions { parse_special: special, add_special: special })
    }

    /// How likely the loaded model finds a text: it is cut into windows of at most `window_tokens`, and each token after
    /// a window's first is scored. `progress` gets tokens done and in all.
    pub async fn score(
        &self,
        text: &str,
        window_tokens: Option<u32>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Score> {
        let ids = self.tokenize(text, false)?;
        let mut ready = self.take()?;
        if !ready.session.can_score() {
            let (request, id) = (ready.request.clone(), 0);
            drop(ready);
            self.put(Slot::Empty);
            self.load(id, request, true, &mut |_| true).await?;
            ready = self.take()?;
        }
        let result = score_windows(&mut ready, &ids, window_tokens, progress).await;
        self.put(Slot::Ready(ready));
        result
    }

    /// The loaded model, for the caller alone until it is put back.
    fn take(&self) -> Result<Box<Ready>> {
        match self.ready.replace(Slot::Busy) {
            Slot::Ready(ready) => Ok(ready),
            other => Err(self.refuse(other, ModelTask::Generate)),
        }
    }

    /// The same, for an encoder.
    fn take_embedder(&self) -> Result<Box<ReadyEmbedder>> {
        match self.ready.replace(Slot::Busy) {
            Slot::Embedder(ready) => Ok(ready),
            other => Err(self.refuse(other, ModelTask::Embed)),
        }
    }

    /// Puts back what does not serve the task, and says why.
    fn refuse(&self, slot: Slot, wanted: ModelTask) -> Error {
        let error = match &slot {
            Slot::Empty => Error::NotLoaded,
            Slot::Busy => Error::Busy,
            Slot::Ready(ready) => Error::WrongTask { model: ready.loaded.model.clone(), wanted },
            Slot::Embedder(ready) => Error::WrongTask { model: ready.loaded.model.clone(), wanted },
        };
        self.put(slot);
        error
    }

    /// What of the machine's memory comes back, surely, when the model that is ready makes room: its weights. A cache
    /// that was never filled may take nothing.
    fn freed_bytes(&self) -> u64 {
        let loaded = match &*self.ready.borrow() {
            Slot::Ready(ready) => (ready.loaded.route, ready.loaded.weights_bytes),
            Slot::Embedder(ready) => (ready.loaded.route, ready.loaded.weights_bytes),
            Slot::Empty | Slot::Busy => return 0,
        };
        match loaded {
            (Route::NativeCpu | Route::WebviewCpu, weights_bytes) => weights_bytes,
            (Route::NativeGpu | Route::WebviewGpu, _) => 0,
        }
    }

    /// Empties the slot, unless it is in use.
    fn clear(&self) -> Result<()> {
        match self.ready.replace(Slot::Busy) {
            Slot::Busy => Err(Error::Busy),
            _ => {
                self.put(Slot::Empty);
                Ok(())
            }
        }
    }

    /// A device that failed is of no further use; a refused request leaves the model as it was.
    fn put_unless_broken<T>(&self, answer: &Result<T>, slot: Slot) {
        let broken = matches!(answer, Err(Error::DeviceLost { .. } | Error::DeviceFault { .. }));
        self.put(if broken { Slot::Empty } else { slot });
    }

    fn put(&self, slot: Slot) {
        *self.ready.borrow_mut() = slot;
    }
}

async fn score_windows(
    ready: &mut Ready,
    ids: &[u32],
    window_tokens: Option<u32>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Score> {
    let context = ready.session.context_tokens();
    let window = window_tokens.unwrap_or(context);
    if window < 2 || window > context {
        return Err(Error::invalid("window", format!("is {window} tokens, but must lie between 2 and {context}")));
    }
    if ids.len() < 2 {
        return Err(Error::invalid("text", "is too short: at least two tokens are needed"));
    }
    let mut total = Score::default();
    for (index, ids_of_window) in ids.chunks(window as usize).enumerate() {
        if ids_of_window.len() > 1 {
            let score = ready.session.score(ids_of_window).await?;
            total.tokens += score.tokens;
            total.nll_sum += score.nll_sum;
        }
        progress(((index + 1) * window as usize).min(ids.len()) as u64, ids.len() as u64);
    }
    Ok(total)
}
