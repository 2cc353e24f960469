//! The engine's thread, and the handle by which other threads reach it.

mod documents;
mod queue;
mod thread;

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use hearth_engine::device::cpu::Activations;
use hearth_engine::protocol::{Event, Failure, FailureCode, Request};

pub use documents::{CONTENT_BYTES_MAX, DocumentOptions};
pub use hearth_engine::decode::Score;

use crate::{Client, ModelStore};
use queue::{Queue, Work};

/// How an engine is set up; none of it changes while it runs.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Where models are found.
    pub models: ModelStore,
    /// Threads for CPU work. None: one for each physical core.
    pub threads: Option<usize>,
    /// Whether GPUs may be looked for.
    pub gpu_allowed: bool,
    /// What products on a CPU make of the activations.
    pub activations: Activations,
}

impl HostOptions {
    /// All cores, and the GPU if there is one.
    pub fn new(models: ModelStore) -> Self {
        Self { models, threads: None, gpu_allowed: true, activations: Activations::default() }
    }
}

/// An engine on a thread of its own, which takes one request after another. Clones share the engine; when the last one
/// goes, the open request is stopped and the thread ends.
#[derive(Clone)]
pub struct EngineHandle {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    /// What waits for the thread that answers about documents; nothing ever does if none are kept.
    documents: Arc<Queue>,
    keeps_documents: bool,
    models: ModelStore,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl EngineHandle {
    /// Starts the engine's thread. No GPU and no file is touched before the first request.
    pub fn start(options: HostOptions) -> std::io::Result<Self> {
        Self::start_with(options, None)
    }

    /// The same, with a library of documents beside it, which has a thread and an engine of its own: a chat goes on
    /// undisturbed. Its file is not touched before the first request about documents.
    pub fn start_with(options: HostOptions, documents: Option<DocumentOptions>) -> std::io::Result<Self> {
        let (queue, waiting) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        let (models, keeps_documents) = (options.models.clone(), documents.is_some());
        let mut threads = Vec::new();
        if let Some(documents) = documents {
            threads.push(documents::spawn(Arc::clone(&waiting), options.clone(), documents)?);
        }
        threads.push(thread::spawn(Arc::clone(&queue), Arc::clone(&waiting), options)?);
        let threads = Mutex::new(threads);
        Ok(Self { inner: Arc::new(Inner { queue, documents: waiting, keeps_documents, models, threads }) })
    }

    /// Puts a request at the end of the queue. `emit` is called with each event, the last of which is terminal, on a
    /// thread of the engine's choosing; it returns false when nobody listens any more, which stops the work.
    ///
    /// [`Request::Cancel`] does not queue: its target is a ticket's `id`, and it is answered before this returns.
    pub fn submit(&self, request: Request, emit: impl FnMut(Event) -> bool + Send + 'static) -> RequestTicket {
        let ticket = self.reserve();
        self.submit_as(&ticket, request, emit);
        ticket
    }

    /// A number for a request that is yet to be submitted.
    pub(crate) fn reserve(&self) -> RequestTicket {
        let id = self.inner.queue.next_id();
        RequestTicket { id, queue: Arc::clone(&self.inner.queue), documents: Arc::clone(&self.inner.documents) }
    }

    /// [`Self::submit`] under a number taken before.
    pub(crate) fn submit_as(
        &self,
        ticket: &RequestTicket,
        request: Request,
        mut emit: impl FnMut(Event) -> bool + Send + 'static,
    ) {
        if let Request::Cancel { target } = request {
            self.inner.queue.cancel(target);
            self.inner.documents.cancel(target);
            emit(Event::Cancelling);
        } else {
            let is_about_documents = self.inner.keeps_documents && documents::is_about(&request);
            let queue = if is_about_documents { &self.inner.documents } else { &self.inner.queue };
            queue.push(ticket.id, Work::Request { request, emit: Box::new(emit) });
        }
    }

    /// Submits a request and gives its events as they come, from any thread but the engine's. Dropping the iterator
    /// stops the request.
    pub fn events(&self, request: Request) -> (RequestTicket, impl Iterator<Item = Event> + use<>) {
        let (sender, receiver) = mpsc::channel();
        let ticket = self.submit(request, move |event| sender.send(event).is_ok());
        (ticket, receiver.into_iter())
    }

    /// A client with request numbers of its own: one for each connection or window.
    pub fn client(&self) -> Client {
        Client::new(self.clone())
    }

    /// The models that this engine finds.
    pub fn models(&self) -> &ModelStore {
        &self.inner.models
    }

    /// The tokens of a text under the loaded model. Waits for its turn.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Failure> {
        self.ask(|reply| Work::Tokenize { text: text.to_owned(), add_special, reply })
    }

    /// How likely the loaded model finds a text, in windows of `window_tokens`. Waits for its turn; `progress` gets
    /// the tokens done and their total, on the engine's thread.
    pub fn score(
        &self,
        text: &str,
        window_tokens: Option<u32>,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Score, Failure> {
        let (text, progress) = (text.to_owned(), Box::new(progress));
        self.ask(|reply| Work::Score { text, window_tokens, progress, reply })
    }

    fn ask<T>(&self, work: impl FnOnce(mpsc::Sender<Result<T, Failure>>) -> Work) -> Result<T, Failure> {
        let (sender, receiver) = mpsc::channel();
        self.inner.queue.push(self.inner.queue.next_id(), work(sender));
        receiver.recv().unwrap_or_else(|_| Err(stopped("it gave no answer")))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.documents.close();
        self.queue.close();
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        // The last handle may go with an `emit`, on one of these very threads.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic has been caught and reported within.
            let _ = thread.join();
        }
    }
}

/// One request's number, and the way to stop it.
#[derive(Clone)]
pub struct RequestTicket {
    /// Unique within the engine.
    pub id: u32,
    queue: Arc<Queue>,
    documents: Arc<Queue>,
}

impl RequestTicket {
    /// Stops the request: at once if it has not begun, at the next token if it has. Does nothing if it has ended.
    pub fn cancel(&self) {
        // The number is in one of them, if it is still open.
        self.queue.cancel(self.id);
        self.documents.cancel(self.id);
    }
}

/// The failure of a request whose engine broke down under it.
fn stopped(reason: &str) -> Failure {
    let error = hearth_engine::Error::DeviceFault { reason: String::new() };
    Failure {
        code: FailureCode::DeviceFault,
        message: format!("the engine broke down and starts anew without a model: {reason}"),
        hint: error.hint().to_owned(),
    }
}
