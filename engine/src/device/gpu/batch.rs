//! Products and attention of a batch, each in the kernel that suits the adapter and the batch's size. Which one it is
//! follows from the step: a plan has the dispatches of all of them, and a step takes those that are meant for it.

mod dispatches;

use std::ops::RangeInclusive;

use super::{GpuOptions, adapter};
use crate::tensor::Format;
pub use dispatches::{Batch, Halves};

/// How products of a batch are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatmulKind {
    /// `matmul`: in small tiles.
    Plain,
    /// `matmul_tiled`: in tiles of 8 times `side` tokens and rows; 8 or 16.
    Tiled {
        /// Threads along each side of a workgroup.
        side: u32,
    },
    /// `matmul_coop`: in cooperative matrices of F16.
    Cooperative(CoopTile),
}

/// What a workgroup of `matmul_coop` computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoopTile {
    /// Subgroups beside each other.
    pub token_groups: u32,
    /// Subgroups below each other.
    pub row_groups: u32,
    /// Tokens of a subgroup, in sixteens; at most 4.
    pub token_tiles: u32,
    /// Rows of a subgroup, in sixteens; at most 4.
    pub row_tiles: u32,
    /// Columns at a time, in fours: 8 or 16.
    pub words: u32,
}

impl CoopTile {
    /// 128 rows by 128 tokens.
    pub const LARGE: Self = Self { token_groups: 4, row_groups: 2, token_tiles: 2, row_tiles: 4, words: 16 };
    /// 64 rows by 64 tokens.
    pub const MEDIUM: Self = Self { token_groups: 2, row_groups: 2, token_tiles: 2, row_tiles: 2, words: 16 };
    /// 64 rows by 32 tokens.
    pub const SMALL: Self = Self { token_groups: 2, row_groups: 2, token_tiles: 1, row_tiles: 2, words: 16 };

    /// Tokens of a workgroup.
    pub const fn tokens(self) -> u32 {
        self.token_groups * self.token_tiles * 16
    }

    /// Rows of a workgroup.
    pub const fn rows(self) -> u32 {
        self.row_groups * self.row_tiles * 16
    }

    /// Whether it keeps to what the shader has registers, shared memory and threads for.
    fn is_possible(self) -> bool {
        let threads = self.token_groups * self.row_groups * 32;
        let line = self.words + 2;
        (1..=256).contains(&threads)
            && [8, 16].contains(&self.words)
            && (1..=4).contains(&self.token_tiles)
            && (1..=4).contains(&self.row_tiles)
            && self.tokens() * self.words <= 16 * threads
            && self.rows() * self.words <= 16 * threads
            && (self.tokens() + self.rows()) * line * 8 + threads * 32 <= adapter::COOPERATIVE_BYTES
            && HALVES_TOKENS.is_multiple_of(self.tokens().into())
    }
}

/// How attention of a batch is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionKind {
    /// `attention`: each token by itself.
    Plain,
    /// `attention_tiled`: 32 tokens at a time.
    Tiled,
    /// `attention_coop`: in cooperative matrices of F16, for heads that they divide.
    Cooperative,
}

/// What batches are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchTuning {
    /// One kernel whatever the batch, for tests.
    forced: Option<MatmulKind>,
    /// Whether there are cooperative matrices, and they are wanted.
    cooperative: bool,
    /// One kernel of attention whatever the batch, for tests.
    attention: Option<AttentionKind>,
}

impl BatchTuning {
    /// Without cooperative matrices.
    pub const DEFAULT: Self = Self { forced: None, cooperative: false, attention: None };

    /// What the options want of what the adapter can.
    pub fn of(options: &GpuOptions, cooperative: bool) -> Self {
        let can = |kind: &MatmulKind| match kind {
            MatmulKind::Plain => true,
            MatmulKind::Tiled { side } => [8, 16].contains(side),
            MatmulKind::Cooperative(tile) => cooperative && tile.is_possible(),
        };
        Self {
            forced: options.matmul.filter(can),
            cooperative: cooperative && options.subgroups.unwrap_or(true),
            attention: options.attention,
        }
    }

    /// Whether there are cooperative matrices, and they are wanted.
    pub fn is_cooperative(self) -> bool {
        self.cooperative
    }

    /// Which kernels compute a product with a matrix of so many rows and columns, and for which batches.
    fn kinds(self, format: Option<Format>, [rows, columns]: [u32; 2]) -> Vec<(RangeInclusive<u32>, MatmulKind)> {
        const ALL: RangeInclusive<u32> = 1..=u32::MAX;
        let in_halves = self.is_in_halves(format, columns);
        match self.forced {
            Some(MatmulKind::Cooperative(_)) if !in_halves => return vec![(ALL, MatmulKind::Plain)],
            Some(kind) => return vec![(ALL, kind)],
            None => {}
        }
        if in_halves {
            let is_large = rows >= LARGE_ROWS_MIN;
            let large = MatmulKind::Cooperative(if is_large { CoopTile::LARGE } else { CoopTile::MEDIUM });
            let medium = MatmulKind::Cooperative(CoopTile::MEDIUM);
            return vec![(1..=32, MatmulKind::Cooperative(CoopTile::SMALL)), (33..=64, medium), (65..=u32::MAX, large)];
        }
        // Large tiles in F32 have only been slower so far where they were measured.
        vec![(ALL, MatmulKind::Plain)]
    }

    /// Whether products with such a matrix are computed in halves. Weights in F32 are taken to be meant that way, and
    /// pieces of 16 columns must be whole. Narrow matrices gain little, and the sums of a narrow model's few numbers show
    /// what rounds them.
    fn is_in_halves(self, format: Option<Format>, columns: u32) -> bool {
        let fits = format != Some(Format::F32) && columns.is_multiple_of(16);
        let is_wanted = match self.forced {
            Some(kind) => matches!(kind, MatmulKind::Cooperative(_)),
            None => self.cooperative && columns >= HALVES_COLUMNS_MIN,
        };
        fits && is_wanted
    }
}

/// Matrices of fewer columns are multiplied in F32, and heads that have fewer in all mix in F32.
const HALVES_COLUMNS_MIN: u32 = 512;

/// Matrices of so many rows fill a large GPU with large tiles.
const LARGE_ROWS_MIN: u32 = 3072;

/// The widest head that `attention_coop`'s shared memory holds.
const COOPERATIVE_HEAD_MAX: u32 = 128;

/// Batches of so many tokens go through attention in tiles.
const TILED_ATTENTION_MIN: u32 = 9;

/// What `to_halves` and `matmul_coop` fill a row up to, in columns, and a batch, in tokens.
const HALVES_COLUMNS: u64 = 64;
const HALVES_TOKENS: u64 = 256;
