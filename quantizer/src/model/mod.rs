//! A whole model, layer by layer.

pub(crate) mod calibration;
mod folding;
mod layer;
mod part;
mod pipeline;
mod shards;
mod survey;
mod tables;

pub use pipeline::{Report, TensorReport, quantize_model};
pub use survey::allocate_bits;
