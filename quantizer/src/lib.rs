//! Makes small models of large ones: weights of 2 to 6 bits that follow from the model's own activations on a text.
//!
//! Pure, as the engine is: threads, files, progress and the wish to stop come from the host.

pub mod allocation;
mod gpu;
pub mod linear;
pub mod model;
mod options;
pub mod random;
pub mod rotation;
pub mod trellis;
pub mod tune;

pub use gpu::GpuEncoder;
pub use options::{Host, Options, Progress, Recipe, Rule};
