//! The decoder block, written once; an architecture is data: which norm, which rope, which activation. A model knows
//! no device and touches no weight: it records a plan.

mod architecture;
mod config;
mod encoder;
mod encoder_config;
mod encoder_names;
mod names;
mod record;
mod sentence;

pub use architecture::Architecture;
pub use config::{ModelConfig, RopeConfig, RopeScaling};
pub use encoder::{Encoder, EncoderInit};
pub use encoder_config::{EncoderArchitecture, EncoderConfig, EncoderNaming};
pub use names::{Naming, Role};
pub use record::{Model, PREFILL_TOKENS_MAX, PlanIndex, StateInit};
pub use sentence::SentenceConfig;
