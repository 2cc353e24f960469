//! A whole model, layer by layer.

mod calibration;
mod folding;
mod parts;
mod pipeline;
mod shards;

pub use pipeline::{Report, TensorReport, quantize_model};
