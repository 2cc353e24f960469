//! What a native host adds to the engine: files, a clock, threads, models by name, and the thread on which the engine
//! lives. The app's shell, the server and the command line all reach the engine through [`EngineHandle`].
//!
//! Nothing here assumes a desktop: every folder is a parameter.

mod added;
mod client;
pub mod documents;
#[cfg(feature = "download")]
pub mod download;
mod engine;
mod files;
mod model_files;
mod model_path;
mod models;
mod pipelines;
mod platform;
mod reader;
#[cfg(feature = "server")]
pub mod server;
pub mod store;
mod threads;

pub use client::Client;
pub use engine::{CONTENT_BYTES_MAX, DocumentOptions, EngineHandle, HostOptions, RequestTicket, Score};
pub use files::{DiskFile, DiskFolder, is_plain_name};
pub use model_files::{ModelBytes, read_model_file, respond};
pub use models::{FoundModel, ModelEntry, ModelStore, Registry};
pub use platform::HostPlatform;
pub use threads::{physical_cores, worker_pool};
