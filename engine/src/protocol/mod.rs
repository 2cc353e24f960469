//! What a user interface and an engine say to each other, over any transport: a worker's messages, a Tauri
//! channel or a WebSocket. Types and nothing else; `ui/src/link/protocol.gen.ts` is generated from them.
//!
//! A client sends [`RequestEnvelope`]s; for each, the engine answers with [`EventEnvelope`]s of the same `id`,
//! and the last of them is terminal: [`Event::is_terminal`] says which that may be.

mod bench;
mod chat;
mod documents;
mod embedding;
mod event;
mod memory;
mod model;
mod probe;
mod recipe;
mod request;

pub use bench::*;
pub use chat::*;
pub use documents::*;
pub use embedding::*;
pub use event::*;
pub use memory::*;
pub use model::*;
pub use probe::*;
pub use recipe::*;
pub use request::*;

/// The protocol's version; a client and an engine that differ in it refuse each other.
pub const VERSION: u32 = 2;
