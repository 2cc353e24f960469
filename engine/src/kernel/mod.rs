//! The kernels: one file each, with its operands, its parameters, the size of its dispatch, and the scalar twin of
//! the shader of the same name, written to be compared with it line by line.
//!
//! All activations are F32. Shapes stand beside the operands, rows first; `tokens` is the batch of one step.

mod add_bias;
mod add_rows;
mod add_scaled;
mod attend;
mod attention;
mod choose;
mod embed;
mod expert_matvec;
mod fused_matvec;
mod gated;
mod gelu;
mod kv_cache;
mod kv_write;
mod last_row;
mod layer_norm;
mod matmul;
mod matvec;
mod mix;
mod norm_add;
mod peaks;
mod read_sum;
mod rms_norm;
mod rope;
mod rotate;
mod route;
mod scale;
mod shortlist;
mod softcap;

pub use add_bias::AddBias;
pub use add_rows::AddRows;
pub use add_scaled::AddScaled;
pub use attend::{Attend, HeadNorm, HeadTurn};
pub use attention::{Attention, HEAD_DIM_MAX};
pub use choose::Choose;
pub use embed::Embed;
pub use expert_matvec::ExpertMatvec;
pub use fused_matvec::{Epilogue, FUSED_MATRICES_MAX, FusedMatrix, FusedMatvec, FusedNorm, FusedOut};
pub use gated::{Activation, GELU_CUBIC, GELU_LINEAR, Gated};
pub use gelu::Gelu;
pub(crate) use gelu::{TAIL_SERIES, TAIL_STEP};
pub use kv_cache::{KV_BLOCK, KvLayout};
pub use kv_write::KvWrite;
pub use last_row::LastRow;
pub use layer_norm::LayerNorm;
pub use matmul::Matmul;
pub use matvec::Matvec;
pub use mix::Mix;
pub use norm_add::NormAdd;
pub use peaks::{PEAKS, Peaks, order_of};
pub use read_sum::ReadSum;
pub use rms_norm::RmsNorm;
pub use rope::{Rope, rope_table};
pub use rotate::Rotate;
pub use route::{EXPERTS_MAX, Route, SLOTS_MAX};
pub use scale::Scale;
pub use shortlist::Shortlist;
pub use softcap::{TANH_MAX, TANH_P, TANH_Q, softcap};

use crate::{
    quant::{
        strips::decode_strip_row,
        trellis::{Code, STRIP_ROWS},
    },
    tensor::{Format, TensorId},
};

/// How a shader uses a storage binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    Read,
    /// It writes, and may read.
    Write,
}

/// Generated from the shaders by the build script: [`Kernel`](shader::Kernel), their texts, and a module of `Params`
/// for each.
#[allow(missing_docs, reason = "each field is explained in its shader")]
pub mod shader {
    use super::{Access, Format, Reading};

    include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
}

/// How a thread reads weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reading {
    /// Four at a time.
    #[default]
    Narrow,
    /// 16 or 32 at a time.
    Wide,
    /// 32 at a time, as integers; what they are multiplied with is rounded to 8 bits.
    Int8,
    /// 16 at a time, for a tile in workgroup memory.
    Tile,
}

/// Which permutation of which shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant {
    /// The shader.
    pub kernel: shader::Kernel,
    /// How the weights that it reads are stored; None if it reads none.
    pub format: Option<Format>,
    /// Whether its threads add up through subgroups.
    pub subgroups: bool,
    /// How its threads read weights.
    pub reading: Reading,
}

impl Variant {
    /// Its text, or that of the nearest permutation below it: not every kernel has a use for subgroups.
    pub fn source(self) -> Option<String> {
        let Self { kernel, subgroups, reading, format } = self;
        let pieces = shader::pieces(kernel, subgroups, reading).or_else(|| shader::pieces(kernel, false, reading))?;
        // What reads strips is one way of reading, and how their products are computed another.
        let reading = if kernel == shader::Kernel::FusedStrips { Reading::Wide } else { reading };
        Some(pieces.join(format.map_or(Some(""), |format| shader::format_text(format, reading))?))
    }
}

/// What changes from one replay of a plan to the next: the same struct as in `shaders/shared/step.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Step {
    /// Of the batch's first token in the context.
    pub position: u32,
    /// In the batch.
    pub tokens: u32,
}

/// Threads of every workgroup: enough for any GPU, and few enough for all (limit 256).
pub const WORKGROUP: u32 = 64;

/// The most workgroups along one dimension that every WebGPU device takes.
pub const GROUPS_MAX: u32 = 65_535;

/// Lays `groups` out in two dimensions if one would pass the limit; the shader undoes it with `flat_group`.
pub fn flat_groups(groups: u32) -> [u32; 3] {
    if groups <= GROUPS_MAX { [groups, 1, 1] } else { [GROUPS_MAX, groups.div_ceil(GROUPS_MAX), 1] }
}

/// A matrix as it is stored, for the twins.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// How its numbers are stored.
    pub format: Format,
    /// How many rows there are.
    pub rows: usize,
    /// Length of a row.
    pub columns: usize,
    /// The rows as in a file, one after the other; those that fill up a last strip are there too.
    pub bytes: &'a [u8],
    /// Of a trellis: how windows are read.
    pub code: Code,
}

impl<'a> Matrix<'a> {
    /// Some of its rows, from a whole strip on.
    pub fn part(&self, first_row: usize, rows: usize) -> Matrix<'a> {
        let stored = rows.next_multiple_of(self.format.strip_rows() as usize);
        let bytes = &self.bytes[first_row * self.row_bytes()..][..stored * self.row_bytes()];
        Matrix { rows, bytes, ..*self }
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.format.row_bytes(self.columns as u64).unwrap_or(0) as usize
    }

    /// A row's bytes, in formats whose rows stand alone.
    pub fn row(&self, row: usize) -> &'a [u8] {
        &self.bytes[row * self.row_bytes()..][..self.row_bytes()]
    }

    /// A row's numbers.
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        match self.format.strip_bits() {
            Some(_) => {
                let strip_bytes = STRIP_ROWS * self.row_bytes();
                let strip = &self.bytes[row / STRIP_ROWS * strip_bytes..][..strip_bytes];
                decode_strip_row(self.format, self.code, strip, row % STRIP_ROWS, out);
            }
            None => crate::quant::decode_row(self.format, self.row(row), out),
        }
    }
}

/// The tensors that a kernel touches, in the order of its shader's bindings from 2 on.
pub type Operands = Vec<TensorId>;
