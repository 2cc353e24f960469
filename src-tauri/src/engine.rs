//! The engine behind the window, and the one command by which the window speaks to it.

use std::sync::{Mutex, PoisonError};

use hearth_engine::protocol::{EventEnvelope, RequestEnvelope};
use hearth_host::{Client, EngineHandle};
use tauri::{State, ipc::Channel};

/// The engine, and the requests of the page that is shown now.
pub struct Engine {
    handle: EngineHandle,
    page: Mutex<Client>,
}

impl Engine {
    /// Puts the engine at a page's service.
    pub fn new(handle: EngineHandle) -> Self {
        Self { page: Mutex::new(handle.client()), handle }
    }

    /// Another page comes, perhaps the same once more: it numbers its requests from 1 again, and nobody listens to the
    /// answers for the one before.
    pub fn start_page(&self) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = self.handle.client();
    }
}

/// Hands a request to the engine; its events come over the channel.
#[tauri::command]
pub fn hearth(engine: State<'_, Engine>, envelope: RequestEnvelope, channel: Channel<EventEnvelope>) {
    let page = engine.page.lock().unwrap_or_else(PoisonError::into_inner);
    page.send(envelope, move |event| channel.send(event).is_ok());
}
