//! The decoder block, written once; an architecture is data: which norm, which rope, which activation. A model knows
//! no device and touches no weight: it records a plan.

mod architecture;
mod config;
mod embedder;
mod encoder;
mod encoder_config;
mod encoder_names;
mod fields;
mod gguf;
mod hf;
mod names;
mod record;
mod rope;
mod sentence;
mod unexpected;
mod weights;

pub use architecture::{Architecture, Biases, GgufFacts, Norms, QkNorm, Windows};
pub use config::{ExpertConfig, LayerConfig, ModelConfig, Scales};
pub use embedder::EmbedderConfig;
pub use encoder::Encoder;
pub use encoder_config::{EncoderArchitecture, EncoderConfig, EncoderNaming};
pub use names::{Naming, Role};
pub use record::{Model, PREFILL_TOKENS_MAX, PlanIndex, Recording, SHORTLIST_TOKENS_MAX, SHORTLIST_TOKENS_MIN};
pub use rope::{RopeConfig, RopeScaling};
pub use sentence::SentenceConfig;
pub use weights::{Component, StateInit, WeightLoad};
