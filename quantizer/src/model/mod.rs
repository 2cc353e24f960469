//! A whole model, layer by layer.

pub(crate) mod calibration;
mod folding;
mod layer;
mod part;
mod pipeline;
mod report;
mod shards;
mod survey;
mod tables;
mod tuning;

pub use pipeline::quantize_model;
pub use report::{Report, TensorReport, Tuned};
pub use survey::allocate_bits;
