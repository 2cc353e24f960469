//! Sizes that measurements chose: all that a kernel can be given from outside stands here.

use super::{GpuOptions, batch::BatchTuning, page};
use crate::{
    kernel::{Reading, shader},
    tensor::Format,
};

/// What `attend_combine` has room for.
const SPLITS_MAX: u32 = 64;

/// Sizes of fused kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Threads of a workgroup of a product whose rows are long enough for so many.
    matvec_threads: u32,
    /// Rows of so many columns are.
    matvec_long_columns: u32,
    /// Rows of so many columns are read wide: shorter ones would leave threads idle.
    wide_columns_min: u32,
    /// Whether products are those of integers where a format has them.
    int8: bool,
    /// Whether bytes may be summed up by products of packed ones.
    packed: bool,
    /// Threads of a workgroup of a product with strips, of rows that are long enough for so many.
    strips_threads: u32,
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
        matvec_threads: 64,
        matvec_long_columns: 2048,
        wide_columns_min: 1024,
        int8: false,
        packed: false,
        strips_threads: 256,
        attend_threads: 128,
        split_keys: 128,
        splits_max: SPLITS_MAX,
        batch: BatchTuning::DEFAULT,
    };

    /// What the options want otherwise.
    pub fn of(options: &GpuOptions, subgroups: bool) -> Self {
        // Natively wgpu itself understands them.
        let has_int8 = cfg!(not(target_arch = "wasm32")) || options.page.has(page::PACKED_PRODUCTS);
        let packed = has_int8 && options.wide != Some(false);
        let mut tuning = Self { int8: options.int8 && has_int8, packed, ..Self::DEFAULT };
        // A ladder needs as much shared memory as there are threads.
        if subgroups {
            tuning.attend_threads = 256;
            tuning.matvec_threads = 128;
        }
        if let Some(threads) = options.attention_threads {
            let most = if subgroups { 256 } else { 128 };
            tuning.attend_threads = threads.next_power_of_two().clamp(64, most);
        }
        if let Some(threads) = options.matvec_threads {
            (tuning.matvec_threads, tuning.matvec_long_columns) = (threads.next_power_of_two().clamp(32, 128), 0);
            tuning.strips_threads = threads.next_power_of_two().clamp(32, 256);
        }
        if let Some(splits) = options.attention_splits {
            (tuning.split_keys, tuning.splits_max) = (1, splits.clamp(1, SPLITS_MAX));
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

    /// How products with strips sum up bytes.
    pub fn strips_reading(&self) -> Reading {
        match (self.int8, self.packed) {
            (true, _) => Reading::Int8,
            (_, true) => Reading::Wide,
            _ => Reading::Narrow,
        }
    }

    /// How products with strips of levels are computed.
    pub fn levels_reading(&self) -> Reading {
        if self.int8 { Reading::Int8 } else { Reading::Narrow }
    }

    /// Threads of a workgroup of a product with strips of levels of so many columns: each reads at least two tiles.
    pub fn levels_threads(&self, columns: u32) -> u32 {
        (columns / 32).next_power_of_two().clamp(32, (self.strips_threads / 2).max(32))
    }

    /// Threads of a workgroup of a product with strips of so many columns, of which each reads four at a time.
    pub fn strips_threads(&self, columns: u32) -> u32 {
        (columns / 8).next_power_of_two().clamp(32, self.strips_threads)
    }

    /// Threads of a workgroup of a product of rows of so many columns.
    pub fn matvec_threads(&self, columns: u32) -> u32 {
        if columns >= self.matvec_long_columns { self.matvec_threads } else { self.matvec_threads.min(64) }
    }
}
