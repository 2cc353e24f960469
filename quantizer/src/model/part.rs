//! What the parts of a model have in common.

use std::collections::BTreeMap;

use hearth_engine::{Error, Result, file::TensorInfo};
use safetensors::Dtype;

use super::{
    pipeline::{Job, TensorReport},
    shards::Stored,
};
use crate::{
    linear::{Feedback, Hessian, Rounded, Rounding, quantize},
    trellis::Trellis,
};

/// A part that is being made.
#[derive(Default)]
pub struct Part {
    pub tensors: BTreeMap<String, Stored>,
    pub reports: Vec<TensorReport>,
}

impl Job<'_> {
    /// Rounds a matrix, unless it is cancelled.
    pub(super) fn round(&self, bits: u32, hessian: &Hessian, feedback: &Feedback, values: &[f32]) -> Result<Rounded> {
        let trellis = Trellis::new(bits, self.options.code)?;
        let host = self.host;
        let is_cancelled = || host.is_cancelled();
        let rounding = Rounding {
            trellis: &trellis,
            hessian,
            feedback,
            tries_scales: self.options.tries_scales,
            is_cancelled: &is_cancelled,
        };
        quantize(host.workers(), &rounding, values).ok_or(Error::Cancelled)
    }
}

/// Multiplies each row's elements with gains.
pub fn multiply(matrix: &mut [f32], gains: Option<&[f32]>) {
    let Some(gains) = gains else { return };
    for row in matrix.chunks_exact_mut(gains.len().max(1)) {
        row.iter_mut().zip(gains).for_each(|(weight, gain)| *weight *= gain);
    }
}

/// A matrix that is not rounded to a trellis, in the type that it had.
pub fn encode_plain(tensor: &TensorInfo, values: &[f32]) -> Result<Vec<u8>> {
    Ok(match Stored::plain(tensor, Vec::new())?.dtype {
        Dtype::F16 => values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => bytemuck::cast_slice(values).to_vec(),
    })
}
