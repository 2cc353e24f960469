//! One connection's view of the engine.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hearth_engine::{
    Error,
    protocol::{Event, EventEnvelope, Failure, Request, RequestEnvelope},
};

use crate::{EngineHandle, RequestTicket};

/// A client of the engine with request numbers of its own, so that two connections may both call their first request
/// 1. When it is dropped, its open requests are stopped.
pub struct Client {
    engine: EngineHandle,
    open: Arc<Open>,
}

#[derive(Default)]
struct Open(Mutex<HashMap<u32, RequestTicket>>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, RequestTicket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    pub(crate) fn new(engine: EngineHandle) -> Self {
        Self { engine, open: Arc::default() }
    }

    /// Sends a request. `emit` is called with each event, under the client's own number, on a thread of the engine's
    /// choosing; it returns false when nobody listens any more.
    pub fn send(&self, envelope: RequestEnvelope, mut emit: impl FnMut(EventEnvelope) -> bool + Send + 'static) {
        let RequestEnvelope { id, request } = envelope;
        if let Request::Cancel { target } = request {
            let ticket = self.open.lock().get(&target).cloned();
            if let Some(ticket) = ticket {
                ticket.cancel();
            }
            emit(EventEnvelope { id, event: Event::Cancelling });
            return;
        }
        // The number is taken before the engine can answer under it.
        let ticket = self.engine.reserve();
        let is_free = match self.open.lock().entry(id) {
            Entry::Vacant(place) => {
                place.insert(ticket.clone());
                true
            }
            Entry::Occupied(_) => false,
        };
        if !is_free {
            return refuse(id, emit);
        }
        let open = Arc::clone(&self.open);
        self.engine.submit_as(&ticket, request, move |event| {
            if event.is_terminal() {
                open.lock().remove(&id);
            }
            emit(EventEnvelope { id, event })
        });
    }

    /// How many requests have not ended.
    pub fn open_requests(&self) -> usize {
        self.open.lock().len()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let tickets: Vec<RequestTicket> = self.open.lock().drain().map(|(_, ticket)| ticket).collect();
        for ticket in tickets {
            ticket.cancel();
        }
    }
}

fn refuse(id: u32, mut emit: impl FnMut(EventEnvelope) -> bool) {
    let error = Error::invalid("id", format!("{id} belongs to a request that is still open"));
    emit(EventEnvelope { id, event: Event::Failed(Failure::from(&error)) });
}
