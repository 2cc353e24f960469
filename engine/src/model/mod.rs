//! The decoder block, written once; an architecture is data: which norm, which rope, which activation. A model knows
//! no device and touches no weight: it records a plan.

mod architecture;
mod block;
mod config;
mod fields;
mod gguf;
mod hf;
mod names;
mod record;
mod rope;
mod weights;

pub use architecture::{Architecture, Biases, GgufFacts, Norms, QkNorm, Windows};
pub use config::{ExpertConfig, LayerConfig, ModelConfig, Scales};
pub use names::{Naming, Role};
pub use record::{Model, PREFILL_TOKENS_MAX, PlanIndex};
pub use rope::{RopeConfig, RopeScaling};
pub use weights::{Component, StateInit, WeightLoad};
