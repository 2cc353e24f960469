//! Sizes that measurements chose: all that a kernel can be given from outside stands here.

use super::{GpuOptions, batch::BatchTuning, page};
use crate::{
    kernel::{Reading, shader},
    tensor::Format,
};

/// Sizes of fused kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// A workgroup computes more rows if so many workgroups remain: enough to fill a large GPU.
    matvec_groups_min: u32,
    /// Rows that a workgroup computes at most, in fours.
    matvec_quads_max: u32,
    /// Rows of so many columns are read wide: shorter ones would leave threads idle.
    wide_columns_min: u32,
    /// Whether products are those of integers where a format has them.
    int8: bool,
    /// Threads of a workgroup of attention.
    pub attend_threads: u32,
    /// So many keys are worth a piece of attention of their own; with fewer the second dispatch costs more than it saves.
    pub split_keys: u32,
    /// Pieces that attention cuts the context into at most.
    pub splits_max: u32,
    /// Of batches.
    pub batch: BatchTuning,
}

impl Tuning {
    /// What is used where nothing else is known.
    pub const DEFAULT: Self = Self {
        matvec_groups_min: 1024,
        matvec_quads_max: 4,
        wide_columns_min: 1024,
        int8: false,
        attend_threads: 128,
        split_keys: 256,
        splits_max: 32,
        batch: BatchTuning::DEFAULT,
    };

    /// What the options want otherwise.
    pub fn of(options: &GpuOptions, subgroups: bool) -> Self {
        // Natively wgpu itself understands them.
        let has_int8 = cfg!(not(target_arch = "wasm32")) || options.page.has(page::PACKED_PRODUCTS);
        let mut tuning = Self { int8: options.int8 && has_int8, ..Self::DEFAULT };
        // A ladder needs as much shared memory as there are threads.
        if subgroups {
            tuning.attend_threads = 256;
        }
        if let Some(threads) = options.attention_threads {
            let most = if subgroups { 256 } else { 128 };
            tuning.attend_threads = threads.next_power_of_two().clamp(64, most);
        }
        if let Some(quads) = options.matvec_quads {
            (tuning.matvec_groups_min, tuning.matvec_quads_max) = (0, quads.clamp(1, 4));
        }
        if let Some(splits) = options.attention_splits {
            (tuning.split_keys, tuning.splits_max) = (1, splits.max(1));
        }
        if let Some(wide) = options.wide {
            tuning.wide_columns_min = if wide { 0 } else { u32::MAX };
        }
        tuning
    }

    /// With other kernels for batches.
    pub fn with_batches(self, batch: BatchTuning) -> Self {
        Self { batch, ..self }
    }

    /// How rows of so many columns are read. No format takes more than 16 columns at a time unless its blocks have as many.
    pub fn reading(&self, format: Option<Format>, columns: u32) -> Reading {
        let has_int8 = format.is_some_and(|format| shader::format_text(format, Reading::Int8).is_some());
        if self.int8 && has_int8 {
            Reading::Int8
        } else if columns >= self.wide_columns_min && columns.is_multiple_of(16) {
            Reading::Wide
        } else {
            Reading::Narrow
        }
    }

    /// How many times four rows a workgroup computes of a matrix of so many; an even number if `paired`.
    pub fn matvec_quads(&self, rows: u32, paired: bool) -> u32 {
        let mut quads = if paired { 2 } else { 1 };
        while quads * 2 <= self.matvec_quads_max && rows / (4 * quads * 2) >= self.matvec_groups_min {
            quads *= 2;
        }
        quads
    }
}
