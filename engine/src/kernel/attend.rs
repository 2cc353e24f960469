//! Attention of one token, from its projected queries, keys and values on. Its twin is the sequence of the twins of the
//! commands that it stands for: norms of the heads, turns, writes to the cache, and the mix.

use super::{Step, shader};
use crate::tensor::{KvFormat, TensorId};

/// Query heads that a workgroup takes at most, and how many numbers they may have in all: what shared memory holds.
const HEADS_EACH_MAX: u32 = 8;
const NUMBERS_EACH_MAX: u32 = 1024;

/// A norm of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadNorm {
    /// (head_dim), or (heads, head_dim) if there is one mean over all heads; F32.
    pub query: TensorId,
    /// The same for keys.
    pub key: TensorId,
    /// Whether there is one mean over all heads.
    pub by_width: bool,
    /// Added to the mean of squares.
    pub epsilon: f32,
}

/// How queries and keys turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadTurn {
    /// (context, rotary / 2, 2).
    pub table: TensorId,
    /// How many of a head's numbers turn.
    pub rotary: u32,
    /// 1 if neighbours make a pair.
    pub interleaved: u32,
}

/// Attention of one token. What it reads lies in the memory between two fused commands.
#[derive(Clone, Debug, PartialEq)]
pub struct Attend {
    /// Where queries, keys and values begin there.
    pub projected_at: [u32; 3],
    /// Of queries and keys.
    pub norm: Option<HeadNorm>,
    /// Of queries and keys.
    pub turn: Option<HeadTurn>,
    /// (kv_heads, context, head_dim).
    pub keys: TensorId,
    /// The same.
    pub values: TensorId,
    /// How keys and values are stored; if in four bits, they and queries are rotated, and what is mixed is turned back.
    pub format: KvFormat,
    /// (heads, head_dim).
    pub out: TensorId,
    /// Of the attention itself.
    pub params: shader::attention::Params,
}

impl Attend {
    /// Query heads that a workgroup takes at most: those that share a key head, or some of them.
    pub fn heads_each(&self) -> u32 {
        let shared_by = self.params.heads / self.params.kv_heads.max(1);
        let most = HEADS_EACH_MAX.min(NUMBERS_EACH_MAX / self.params.head_dim.max(1)).max(1);
        (1..=most).rev().find(|heads| shared_by.is_multiple_of(*heads)).unwrap_or(1)
    }

    /// Into how many pieces the context is cut: as in `shaders/shared/splits.wgsl`.
    pub fn splits(&self, step: Step, split_keys: u32, splits_max: u32) -> u32 {
        let first = (step.position + 1).saturating_sub(self.params.window);
        let visible = step.position + 1 - if self.params.window > 0 { first } else { 0 };
        (visible / split_keys.max(1)).clamp(1, splits_max.max(1))
    }

    /// A workgroup for some heads and a piece of the context.
    pub fn groups(&self, splits: u32, heads_each: u32) -> [u32; 3] {
        [self.params.heads / heads_each.max(1), splits, 1]
    }

    /// Elements of what the pieces leave for `attend_combine`, with the whole context in use.
    pub fn partial_elements(&self, split_keys: u32, splits_max: u32) -> u64 {
        let last = Step { position: self.params.context.saturating_sub(1), tokens: 1 };
        let pieces = match self.splits(last, split_keys, splits_max) {
            1 => 0,
            pieces => pieces,
        };
        u64::from(pieces) * u64::from(self.params.heads) * (u64::from(self.params.head_dim) + 4)
    }
}
