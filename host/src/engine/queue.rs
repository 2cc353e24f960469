//! What waits for the engine's thread.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::Sender,
    },
};

use hearth_engine::{
    Error,
    decode::Score,
    protocol::{Event, Failure, Request},
    runtime::Cancellations,
};

/// Where the events of a request go.
pub(super) type Emit = Box<dyn FnMut(Event) -> bool + Send>;

/// Something for the engine to do.
pub(super) enum Work {
    /// A request of the protocol.
    Request { request: Request, emit: Emit },
    /// See [`super::EngineHandle::tokenize`].
    Tokenize { text: String, add_special: bool, reply: Sender<Result<Vec<u32>, Failure>> },
    /// See [`super::EngineHandle::score`].
    Score {
        text: String,
        window_tokens: Option<u32>,
        progress: Box<dyn FnMut(u64, u64) + Send>,
        reply: Sender<Result<Score, Failure>>,
    },
}

/// Requests in the order of their arrival, and the one that is being answered.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    ids: AtomicU32,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u32, Work)>,
    /// What the engine works on, and how it is told to stop.
    current: Option<u32>,
    cancellations: Cancellations,
    closed: bool,
}

impl Queue {
    /// A number that no request has had; never 0, which the runtime keeps for itself.
    pub(super) fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    pub(super) fn push(&self, id: u32, work: Work) {
        self.lock().waiting.push_back((id, work));
        self.changed.notify_one();
    }

    /// Stops a request. One that still waits is answered here, so that it need not wait for its turn.
    pub(super) fn cancel(&self, id: u32) {
        let mut state = self.lock();
        if let Some(place) = state.waiting.iter().position(|(waiting, _)| *waiting == id) {
            let removed = state.waiting.remove(place);
            // Whoever listens may call back.
            drop(state);
            if let Some((_, Work::Request { mut emit, .. })) = removed {
                emit(Event::Failed(Failure::from(&Error::Cancelled)));
            }
        } else if state.current == Some(id) {
            state.cancellations.request(id);
        }
    }

    /// Ends the engine's thread: stops what it does and drops what waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(id) = state.current {
            state.cancellations.request(id);
        }
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        for (_, work) in dropped {
            if let Work::Request { mut emit, .. } = work {
                emit(Event::Failed(Failure::from(&Error::Cancelled)));
            }
        }
    }

    /// Names the way to stop requests of the runtime that answers from now on.
    pub(super) fn set_cancellations(&self, cancellations: Cancellations) {
        self.lock().cancellations = cancellations;
    }

    /// Waits for the next piece of work; `None` when the engine is to end.
    pub(super) fn next(&self) -> Option<(u32, Work)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((id, work)) = state.waiting.pop_front() {
                state.current = Some(id);
                return Some((id, work));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that the current piece of work is done, whatever became of it.
    pub(super) fn finish(&self, id: u32) {
        let mut state = self.lock();
        state.current = None;
        state.cancellations.finish(id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
