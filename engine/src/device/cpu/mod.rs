//! The CPU: the scalar twins, with SIMD and threads where the time goes.

mod run;
mod simd;
mod storage;
mod workers;

pub use simd::SimdLevel;
pub use workers::{Serial, Workers};

use std::{ops::Range, sync::Arc};

use crate::{Result, kernel::Step, plan::Program, tensor::TensorId};
use storage::Storage;

/// A CPU with a program on it.
pub struct CpuDevice {
    workers: Arc<dyn Workers>,
    simd: SimdLevel,
    storage: Storage,
    program: Program,
}
