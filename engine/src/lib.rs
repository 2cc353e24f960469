//! Runs language models on wgpu or on a CPU with SIMD, native and in WebAssembly.
//!
//! The engine is pure: it opens no files or sockets, reads no clock, starts no threads and prints nothing. A host, or
//! a web page through [`web`], gives it all of these.

pub mod bench;
pub mod decode;
pub mod device;
pub mod error;
pub mod file;
pub mod kernel;
pub mod memory;
pub mod model;
pub mod plan;
pub mod profile;
pub mod protocol;
pub mod quant;
pub mod runtime;
pub mod tensor;
pub mod text;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use error::{Error, Result};
