//! What is told of a run when it is over.

use serde::{Deserialize, Serialize};

use crate::tune::TuningReport;

/// What became of a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorReport {
    /// Its name.
    pub tensor: String,
    /// Its format's name.
    pub format: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Whether it is the table of embeddings or the head.
    pub is_table: bool,
    /// Bytes in the file.
    pub bytes: u64,
    /// Mean square of what its outputs are off by, as a part of their own.
    pub error: f64,
}

/// What became of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Of each quantised tensor.
    pub tensors: Vec<TensorReport>,
    /// Bits a weight of the quantised matrices, without tables.
    pub linear_bits: f64,
    /// Bits a weight of all there is.
    pub model_bits: f64,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// What tuning did, if it was wanted.
    pub tuning: Option<Tuned>,
}

/// What became of tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuned {
    /// It ran.
    Done(TuningReport),
    /// The model cannot be tuned, and it was not asked for by name; why.
    Skipped(String),
}
