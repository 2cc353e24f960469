//! Tuning: when all layers are rounded, the codes stay, and the scales of rows and the gains of norms are moved so that
//! the quantised model answers as the full one does. What is made small is the divergence of its likelihoods from the
//! full model's, on texts; the gradients come from the engine's own plan, command by command and back.

mod adam;
mod attention;
mod backward;
mod kl;
mod matrix;
mod number;
mod run;
mod student;
mod tape;
mod teacher;

pub use adam::Adam;
pub use number::Number;
pub use run::{Learned, Watch, tune};
pub use student::{Parameter, ParameterKind, Student};

use serde::{Deserialize, Serialize};

/// How long is tuned, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// How many steps.
    pub steps: u32,
    /// Texts of a step.
    pub texts: u32,
    /// By what part of itself a row's scale may change in a step; 0 leaves scales as they are.
    pub scales_rate: f64,
    /// The same of a norm's gains.
    pub gains_rate: f64,
    /// What may be in memory for it, the full model on its device aside; more is refused.
    pub memory_bytes: u64,
    /// Whether a model that cannot be tuned is refused. Otherwise it is left as it is.
    pub is_required: bool,
}

impl Tuning {
    /// As many steps, and what was found to be best with them.
    pub fn new(steps: u32) -> Self {
        Self { steps, texts: 2, scales_rate: 0.004, gains_rate: 0.004, memory_bytes: 8 << 30, is_required: true }
    }
}

/// What came of it, on texts that were not tuned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningReport {
    /// How many steps.
    pub steps: u32,
    /// Mean divergence before, in nats.
    pub kl_before: f64,
    /// And after; where it is no less, all stayed as it was.
    pub kl_after: f64,
}

impl TuningReport {
    /// Whether it got better, and so was kept.
    pub fn is_kept(&self) -> bool {
        self.kl_after < self.kl_before
    }
}
