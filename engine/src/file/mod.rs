//! Where weights come from: ranges of bytes, a catalog of tensors, and nothing about what they mean.

mod catalog;
mod gguf;
mod open;
mod safetensors;
mod source;

pub use catalog::{Catalog, TensorInfo};
pub use gguf::{GgufMetadata, GgufValue};
pub use open::{Documents, OpenedModel, open_model};
pub use source::{BoxedFuture, ByteSource, Folder, MemorySource};
