//! Where weights come from: ranges of bytes, a catalog of tensors, and nothing about what they mean.
//!
//! A host hands in a [`Folder`] of [`ByteSource`]s; [`open_model`] reads headers only and gives an [`OpenedModel`]:
//! a [`Catalog`] that says where each tensor lies, and the [`Documents`] that say the rest. Weights are read later,
//! a few rows at a time, with [`Catalog::read_rows`].
//!
//! Two containers are understood: safetensors (F32, F16, BF16; one file, or an index and its shards) and GGUF
//! version 2 and 3, whole or split (every [`Format`](crate::tensor::Format)). Nothing a header says is believed before
//! it has been checked against the length of the file that holds it, so what is allocated stays in proportion to what
//! is there.

mod aligned;
mod catalog;
mod choose;
mod embedding;
mod frontier;
mod gguf;
mod open;
mod quantized;
mod safetensors;
mod source;

pub use aligned::{Aligned, LINE_BYTES};
pub use catalog::{Catalog, TensorInfo, UnsupportedTensor};
pub use choose::{choose_gguf, gguf_name};
pub use embedding::{EmbeddingDocuments, POOLING_FILE};
pub use frontier::{FRONTIER_FILE, FRONTIER_VERSION, find_frontier};
pub use gguf::{GgufArray, GgufMetadata, GgufTensor, GgufValue, PartName, write_gguf};
pub use open::{Documents, OpenedModel, TEMPLATE_FILES, open_model, survey_model};
pub use quantized::{QUANT_METHOD, QUANT_VERSION, Quantization};
pub use source::{BoxedFuture, ByteSource, Filled, Folder, MemoryFolder, MemorySource, Piece};
