//! The one command of the window.

use hearth_engine::protocol::{EventEnvelope, RequestEnvelope};
use tauri::ipc::Channel;

/// Hands a request to the engine; its events come over the channel.
#[tauri::command]
pub fn hearth(envelope: RequestEnvelope, channel: Channel<EventEnvelope>) {
    let _ = (envelope, channel);
}
