//! What waits for the engine's thread.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::Sender,
    },
    time::Duration,
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
    /// When what was held has been let go.
    let_go: Condvar,
    ids: AtomicU32,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u32, Work)>,
    /// What the engine works on, and how it is told to stop.
    current: Option<u32>,
    cancellations: Cancellations,
    /// Whether the thread holds a model though it does nothing, and whether it is asked to let it go.
    is_holding: bool,
    must_let_go: bool,
    closed: bool,
}

/// What a thread does that has nothing to work on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Let go of what it holds: nothing has come for long, or somebody needs the memory.
    Idle,
    /// End.
    Closed,
}

/// Nobody waits longer than this for another thread's memory.
const LET_GO_MAX: Duration = Duration::from_secs(5);

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
        self.let_go.notify_all();
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

    /// Waits for the next piece of work; no longer than so long, if something is held.
    pub(super) fn next_within(&self, idle_max: Duration) -> Result<(u32, Work), Pause> {
        let mut state = self.lock();
        let mut is_over = false;
        loop {
            if state.closed {
                return Err(Pause::Closed);
            }
            if let Some((id, work)) = state.waiting.pop_front() {
                state.current = Some(id);
                return Ok((id, work));
            }
            if state.is_holding && (is_over || state.must_let_go) {
                return Err(Pause::Idle);
            }
            if state.is_holding {
                let (after, timeout) =
                    self.changed.wait_timeout(state, idle_max).unwrap_or_else(PoisonError::into_inner);
                (state, is_over) = (after, timeout.timed_out());
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Says whether the thread holds a model.
    pub(super) fn set_holding(&self, is_holding: bool) {
        let mut state = self.lock();
        state.is_holding = is_holding;
        state.must_let_go = false;
        drop(state);
        self.let_go.notify_all();
    }

    /// Has the thread let go of the model that it holds, and waits until it has. What it works on it keeps.
    pub(super) fn free_idle(&self) {
        let mut state = self.lock();
        if !state.is_holding || state.current.is_some() || !state.waiting.is_empty() || state.closed {
            return;
        }
        state.must_let_go = true;
        self.changed.notify_all();
        let is_waiting = |state: &mut State| state.must_let_go && state.current.is_none() && !state.closed;
        drop(self.let_go.wait_timeout_while(state, LET_GO_MAX, is_waiting));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn is_idle(next: &Result<(u32, Work), Pause>) -> bool {
        matches!(next, Err(Pause::Idle))
    }

    #[test]
    fn what_is_held_is_let_go_when_nothing_comes() {
        let queue = Queue::default();
        queue.set_holding(true);
        let (reply, _answer) = std::sync::mpsc::channel();
        queue.push(7, Work::Tokenize { text: String::new(), add_special: false, reply });
        assert!(matches!(queue.next_within(Duration::ZERO), Ok((7, _))));
        queue.finish(7);
        assert!(is_idle(&queue.next_within(Duration::ZERO)));
    }

    #[test]
    fn whoever_needs_the_memory_waits_until_it_is_free() {
        let queue = Arc::new(Queue::default());
        // Nothing is held: nobody waits.
        queue.free_idle();
        queue.set_holding(true);
        let holder = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            let next = holder.next_within(Duration::from_secs(3600));
            holder.set_holding(false);
            is_idle(&next)
        });
        queue.free_idle();
        assert!(!queue.lock().is_holding);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn what_is_in_use_is_not_waited_for() {
        let queue = Queue::default();
        queue.set_holding(true);
        let (reply, _answer) = std::sync::mpsc::channel();
        queue.push(1, Work::Tokenize { text: String::new(), add_special: false, reply });
        queue.free_idle();
        assert!(matches!(queue.next_within(Duration::ZERO), Ok((1, _))));
        queue.free_idle();
        assert!(!queue.lock().must_let_go);
    }
}
