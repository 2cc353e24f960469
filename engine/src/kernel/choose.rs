//! The place of the largest number: the token number of the next step.

use super::{Operands, shader::choose::Params};
use crate::tensor::TensorId;

/// The largest of all peaks, the first of equals.
#[derive(Clone, Debug, PartialEq)]
pub struct Choose {
    /// (peaks, 2), of [`super::Peaks`].
    pub peaks: TensorId,
    /// The token numbers, of which the first is set.
    pub ids: TensorId,
    /// (2): the place, and 1 if what stands there is no number.
    pub choice: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Choose {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.peaks, self.ids, self.choice]
    }

    /// One workgroup.
    pub fn groups(&self) -> [u32; 3] {
        [1, 1, 1]
    }

    /// The scalar twin. Gives the token number too.
    pub fn twin(&self, peaks: &[f32], choice: &mut [f32]) -> u32 {
        let (mut best, mut place) = (0, u32::MAX);
        for peak in peaks.chunks_exact(2).take(self.params.peaks as usize) {
            let (order, at) = (peak[0].to_bits(), peak[1].to_bits());
            if order > best || order == best && at < place {
                (best, place) = (order, at);
            }
        }
        let found = [place as f32, if best == u32::MAX { 1.0 } else { 0.0 }];
        choice.iter_mut().zip(found).for_each(|(choice, found)| *choice = found);
        place
    }
}
