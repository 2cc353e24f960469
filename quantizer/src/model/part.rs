//! What the parts of a model have in common.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    file::TensorInfo,
    quant::{decode_row, strips::decode_rows},
    tensor::Format,
};
use safetensors::Dtype;

use super::{pipeline::Job, report::TensorReport, shards::Stored};
use crate::{
    linear::{Feedback, Hessian, Rounded, Rounding, quantize, quantize_levels2, quantize_q4_0},
    trellis::Trellis,
};

/// A part that is being made.
#[derive(Default)]
pub struct Part {
    pub tensors: BTreeMap<String, Stored>,
    pub reports: Vec<TensorReport>,
}

impl Job<'_> {
    /// How errors of a matrix of that format are made good.
    pub(super) fn feedback(&self, format: Format, hessian: &Hessian) -> Feedback {
        let (workers, damping) = (self.host.workers(), self.options.damping);
        match format.trellis_bits() {
            Some(_) => Feedback::new(workers, hessian, damping),
            None => Feedback::of_columns(workers, hessian, damping),
        }
    }

    /// Rounds a matrix, unless it is cancelled.
    pub(super) fn round(
        &self,
        format: Format,
        hessian: &Hessian,
        feedback: &Feedback,
        values: &[f32],
    ) -> Result<Rounded> {
        let host = self.host;
        let is_cancelled = || host.is_cancelled();
        let rounded = match format.trellis_bits() {
            Some(bits) => {
                let trellis = Trellis::new(bits, self.options.code)?;
                let tries_scales = self.options.tries_scales;
                let is_cancelled = &is_cancelled;
                let encoder = host.encoder();
                let rounding = Rounding { trellis: &trellis, hessian, feedback, encoder, tries_scales, is_cancelled };
                quantize(host.workers(), &rounding, values)
            }
            None if format == Format::Levels2 => {
                let tries_scales = self.options.tries_scales;
                quantize_levels2(host.workers(), hessian, feedback, tries_scales, &is_cancelled, values)
            }
            None => quantize_q4_0(host.workers(), hessian, feedback, &is_cancelled, values),
        };
        rounded.ok_or(Error::Cancelled)
    }

    /// The first rows of a matrix that was rounded, as many as `out` holds.
    pub(super) fn decode(&self, format: Format, stored: &[u8], columns: usize, out: &mut [f32]) {
        match format.strip_bits() {
            Some(_) => decode_rows(format, self.options.code, stored, columns, out),
            None => decode_row(format, stored, out),
        }
    }
}

/// Multiplies each row's elements with gains.
pub fn multiply(matrix: &mut [f32], gains: Option<&[f32]>) {
    let Some(gains) = gains else { return };
    for row in matrix.chunks_exact_mut(gains.len().max(1)) {
        row.iter_mut().zip(gains).for_each(|(weight, gain)| *weight *= gain);
    }
}

/// A matrix that is not rounded, in the type that it had.
pub fn encode_plain(tensor: &TensorInfo, values: &[f32]) -> Result<Vec<u8>> {
    Ok(match Stored::plain(tensor, Vec::new())?.dtype {
        Dtype::F16 => values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => bytemuck::cast_slice(values).to_vec(),
    })
}
