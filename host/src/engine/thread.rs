//! The thread on which the runtime lives.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
};

use hearth_engine::{
    Error,
    protocol::{Event, Failure, Request},
    runtime::Runtime,
};

use super::{
    HostOptions,
    queue::{Emit, Queue, Work},
    stopped,
};
use crate::{HostPlatform, physical_cores, worker_pool};

/// Shader compilers and tokenizers recurse deeper than a thread's usual two megabytes allow in a debug build.
pub(super) const STACK_BYTES: usize = 16 << 20;

/// `documents` is the queue of the thread whose embedding model makes room for a model that is loaded here.
pub(super) fn spawn(queue: Arc<Queue>, documents: Arc<Queue>, options: HostOptions) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("hearth-engine".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        // Once for the thread, however often the runtime is replaced: the pool counts this thread as its own.
        let workers = worker_pool(options.threads.unwrap_or_else(physical_cores));
        loop {
            let platform = HostPlatform::new(options.models.clone(), Arc::clone(&workers), options.gpu_allowed)
                .with_activations(options.activations);
            let runtime = Runtime::new(Rc::new(platform));
            queue.set_cancellations(runtime.cancellations());
            let ended = answer(&queue, &documents, &runtime);
            // After a panic its parts may not be in a state to be taken down in order.
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
            if let Err(panic) = dropped {
                tracing::error!(reason = reason(panic.as_ref()), "the engine could not be taken down in order");
            }
            if matches!(ended, Ended::Closed) {
                return;
            }
        }
    })
}

enum Ended {
    Closed,
    Panicked,
}

/// Answers requests until there is an end to it.
fn answer(queue: &Queue, documents: &Queue, runtime: &Runtime) -> Ended {
    while let Some((id, work)) = queue.next() {
        let panicked = match work {
            Work::Request { request, emit } => {
                if matches!(request, Request::Load(_) | Request::Bench(_)) {
                    documents.free_idle();
                }
                let mut emitter = Emitter::new(emit);
                let outcome = guarded(|| {
                    pollster::block_on(runtime.handle(id, request, &mut |event| emitter.emit(event)));
                });
                let panicked = outcome.is_err();
                // Still the current request: a client that is told of the end may at once ask for more.
                let failure = outcome.err().unwrap_or_else(|| stopped("it did not say how the request ended"));
                queue.finish(id);
                emitter.end(failure);
                panicked
            }
            Work::Tokenize { text, add_special, reply } => {
                let outcome = guarded(|| runtime.tokenize(&text, add_special));
                queue.finish(id);
                answer_call(outcome, &reply)
            }
            Work::Score { text, window_tokens, mut progress, reply } => {
                let outcome = guarded(|| pollster::block_on(runtime.score(&text, window_tokens, &mut progress)));
                queue.finish(id);
                answer_call(outcome, &reply)
            }
        };
        if panicked {
            return Ended::Panicked;
        }
    }
    Ended::Closed
}

/// Runs work of the engine; a panic becomes a failure.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let reason = reason(panic.as_ref());
        tracing::error!(reason, "the engine panicked");
        stopped(reason)
    })
}

/// Hands a result to whoever waits for it. Returns whether the engine panicked.
fn answer_call<T>(
    outcome: Result<hearth_engine::Result<T>, Failure>,
    reply: &std::sync::mpsc::Sender<Result<T, Failure>>,
) -> bool {
    let panicked = outcome.is_err();
    let answer = outcome.and_then(|result| result.map_err(|error: Error| Failure::from(&error)));
    // Nobody waits any more: then nobody is missed.
    let _ = reply.send(answer);
    panicked
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

/// Sees to it that each request has exactly one terminal event.
pub(super) struct Emitter {
    emit: Emit,
    is_ended: bool,
}

impl Emitter {
    pub(super) fn new(emit: Emit) -> Self {
        Self { emit, is_ended: false }
    }

    pub(super) fn emit(&mut self, event: Event) -> bool {
        if self.is_ended {
            return false;
        }
        self.is_ended = event.is_terminal();
        (self.emit)(event)
    }

    pub(super) fn end(mut self, failure: Failure) {
        if !self.is_ended {
            // What panicked may have been the listener itself.
            let _ = guarded(|| self.emit(Event::Failed(failure)));
        }
    }
}
