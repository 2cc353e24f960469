//! The numbers of a row that are not below a threshold.

use super::{Operands, PEAKS, WORKGROUP, order_of, shader::shortlist::Params};
use crate::tensor::TensorId;

/// Peaks that the threshold is chosen among.
const MERGED: usize = 256;

/// At least `wanted` numbers of a row, and all that are as large as the least of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortlist {
    /// (columns).
    pub x: TensorId,
    /// (PEAKS, 2), of [`super::Peaks`].
    pub peaks: TensorId,
    /// (1 + entries_max, 2), as bits: how many there are and the threshold's [order](order_of); then the place and the
    /// number of each.
    pub list: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Shortlist {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.x, self.peaks, self.list]
    }

    /// A workgroup for every 1024 numbers.
    pub fn groups(&self) -> [u32; 3] {
        [self.params.columns.div_ceil(16 * WORKGROUP).min(256), 1, 1]
    }

    /// The scalar twin. A GPU's list is in another order.
    pub fn twin(&self, x: &[f32], peaks: &[f32], list: &mut [f32]) {
        let order = |peak: usize| peaks.get(2 * peak).map_or(0, |order| order.to_bits());
        let merged = |first: usize| (first..PEAKS as usize).step_by(MERGED).map(order).max().unwrap_or(0);
        let mut tops: Vec<u32> = (0..MERGED).map(merged).collect();
        tops.sort_unstable_by(|a, b| b.cmp(a));
        let threshold =
            (self.params.wanted as usize).checked_sub(1).and_then(|rank| tops.get(rank).copied()).unwrap_or(0);
        let mut count = 0;
        let (head, entries) = list.split_at_mut(2);
        for (place, value) in x.iter().enumerate().take(self.params.columns as usize) {
            if order_of(*value) >= threshold {
                let entry = entries.chunks_exact_mut(2).take(self.params.entries_max as usize).nth(count as usize);
                if let Some(entry) = entry {
                    entry.copy_from_slice(&[f32::from_bits(place as u32), *value]);
                }
                count += 1;
            }
        }
        head.copy_from_slice(&[count, threshold].map(f32::from_bits));
    }
}
