//! From tokens to more tokens: sessions, sampling, and where an answer ends.

mod choosing;
#[cfg(feature = "structured")]
mod constraint;
#[cfg(not(feature = "structured"))]
#[path = "no_constraint.rs"]
mod constraint;
mod divergence;
mod embedder;
mod generate;
mod load;
mod measure;
mod sampler;
mod score;
mod session;
mod stop;
mod stream;

pub use choosing::Choosing;
pub use constraint::{Grammars, TokenMask};
pub use divergence::Divergence;
pub use embedder::Embedder;
pub use generate::{GenerateOptions, Outcome, Sink};
pub use load::LoadProgress;
pub use sampler::Sampler;
pub use score::Score;
pub use session::{Session, SessionOptions};
pub use stop::{StopTexts, Verdict};
pub use stream::StreamCounts;
