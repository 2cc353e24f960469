//! What answers the protocol's requests: one model on one device, the same behind every route.

mod description;
mod generation;
mod inspecting;
mod loading;
mod platform;
mod probing;

pub use platform::{Cancellations, ModelLocation, Platform};

use std::{cell::RefCell, rc::Rc};

use crate::{
    Error, Result,
    decode::{Score, Session},
    protocol::{Event, Failure, LoadRequest, Loaded, Request},
    text::{ChatTemplate, EncodeOptions, Tokenizer},
};

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
}

/// A model that is ready.
struct Ready {
    session: Session,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
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
            Request::Unload => self.take_idle().map(|_| Event::Unloaded),
            Request::Models => self.platform.models().await.map(Event::Models),
            Request::Inspect(request) => {
                inspecting::inspect(&*self.platform, &request).await.map(Event::Inspected)
            }
            Request::AddModel { path } => self.platform.add_model(&path).await.map(|model| Event::ModelAdded { model }),
            Request::RemoveModel { model } => {
                self.platform.remove_model(&model).await.map(|()| Event::ModelRemoved { model })
            }
            Request::Load(request) => self.load(id, request, false, emit).await.map(Event::Loaded),
            Request::Generate(request) => match self.take() {
                Ok(mut ready) => {
                    let answer = generation::generate(self, &mut ready, id, &request, emit).await;
                    // A device that failed is of no further use; a refused request leaves the model as it was.
                    let broken = matches!(answer, Err(Error::DeviceLost { .. } | Error::DeviceFault { .. }));
                    self.put(if broken { Slot::Empty } else { Slot::Ready(ready) });
                    answer.map(Event::Done)
                }
                Err(error) => Err(error),
            },
        };
        self.cancellations.finish(id);
        emit(answer.unwrap_or_else(|error| {
            tracing::info!(id, %error, "a request failed");
            Event::Failed(Failure::from(&error))
        }));
    }

    /// Tokens of a text under the loaded model's tokenizer.
    pub fn tokenize(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        match &*self.ready.borrow() {
            Slot::Ready(ready) => {
                ready.tokenizer.encode(text, EncodeOptions { parse_special: special, add_special: special })
            }
            Slot::Busy => Err(Error::Busy),
            Slot::Empty => Err(Error::NotLoaded),
        }
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
            Slot::Busy => Err(Error::Busy),
            Slot::Empty => {
                self.put(Slot::Empty);
                Err(Error::NotLoaded)
            }
        }
    }

    /// Empties the slot, unless it is in use.
    fn take_idle(&self) -> Result<Option<Box<Ready>>> {
        match self.take() {
            Ok(ready) => {
                self.put(Slot::Empty);
                Ok(Some(ready))
            }
            Err(Error::NotLoaded) => Ok(None),
            Err(error) => Err(error),
        }
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
