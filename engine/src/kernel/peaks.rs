//! The largest number of each slice of a row, and where it stands.

use super::{Operands, shader::peaks::Params};
use crate::tensor::TensorId;

/// Slices of a row.
pub const PEAKS: u32 = 1024;

/// Orders numbers as `order_of` of `shaders/shared/order.wgsl` does: both zeros are the same, and what is no number is
/// above all.
pub fn order_of(value: f32) -> u32 {
    const SIGN: u32 = 1 << 31;
    match value.to_bits() {
        _ if value.is_nan() => u32::MAX,
        SIGN => SIGN,
        bits if bits > SIGN => !bits,
        bits => bits | SIGN,
    }
}

/// The largest number of every 1024th of a row, the first of equals.
#[derive(Clone, Debug, PartialEq)]
pub struct Peaks {
    /// (columns).
    pub x: TensorId,
    /// (PEAKS, 2): order and place, as bits.
    pub peaks: TensorId,
    /// Of [`super::Shortlist`], whose count becomes 0.
    pub list: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Peaks {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.peaks, self.list]
    }

    /// A thread a slice.
    pub fn groups(&self) -> [u32; 3] {
        [PEAKS / super::WORKGROUP, 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, x: &[f32], peaks: &mut [f32]) {
        for (slice, peak) in peaks.chunks_exact_mut(2).enumerate().take(PEAKS as usize) {
            let (mut best, mut place) = (0, u32::MAX);
            for (index, value) in
                x.iter().enumerate().take(self.params.columns as usize).skip(slice).step_by(PEAKS as usize)
            {
                let order = order_of(*value);
                if order > best {
                    (best, place) = (order, index as u32);
                }
            }
            peak.copy_from_slice(&[best, place].map(f32::from_bits));
        }
    }
}
