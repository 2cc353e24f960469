//! The decoder block, written once; an architecture is data: which norm, which rope, which activation. A model knows
//! no device and touches no weight: it records a plan.

mod architecture;
mod config;
mod names;
mod record;

pub use architecture::Architecture;
pub use config::{ModelConfig, RopeConfig, RopeScaling};
pub use names::{Naming, Role};
pub use record::{Model, PREFILL_TOKENS_MAX, PlanIndex, StateInit};
