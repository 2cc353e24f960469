//! Where a loaded model's memory is.

use serde::{Deserialize, Serialize};

use super::MemoryPlan;

/// Bytes by component and place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct MemoryUse {
    /// What it was asked to keep to; None if nothing was said.
    #[cfg_attr(feature = "typescript", ts(type = "number | null"))]
    pub budget_bytes: Option<u64>,
    /// What was planned before it was loaded; its weights are those that are in memory at a time.
    pub plan: MemoryPlan,
    /// What was really allocated on the device.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub allocated_bytes: u64,
    /// Weights that stay.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub resident_bytes: u64,
    /// Weights that are read anew for each step; 0 if all stay.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub streamed_bytes: u64,
    /// Memory through which these come and go.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub slots_bytes: u64,
    /// Embedding, layers and head, in the order in which a step needs them.
    pub components: Vec<ComponentUse>,
}

/// A part of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ComponentUse {
    /// "embedding", "layer 0", "head", ...
    pub name: String,
    /// All of its weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub bytes: u64,
    /// Those that stay.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub resident_bytes: u64,
}

/// What was read while an answer was made, of weights that are not all in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Streamed {
    /// Bytes of weights.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub bytes: u64,
    /// Matrices, or several that are kept together.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub units: u64,
    /// How many of them were on their way before they were needed.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub ahead: u64,
}
