//! What a plan does where the quantizer could not fold a rotation into weights.

use super::Recorder;
use crate::{
    Error, Result,
    kernel::{Rotate, shader::rotate},
    model::{Norms, StateInit},
    plan::{Command, TensorKind},
    quant::rotation::{Rotation, block_of},
    tensor::{KvFormat, TensorId},
};

/// Whose sides are rotated, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rotations {
    /// What the file says.
    of: Rotation,
    /// The signs of the residual stream, if the embedding's table is not rotated and so the stream's ends are.
    stream_signs: Option<TensorId>,
    /// As many ones as a feed-forward layer is wide, if its inside is rotated.
    inner_signs: Option<TensorId>,
    /// As many ones as the query heads are wide, if heads are rotated before they are cached.
    head_signs: Option<TensorId>,
}

impl Rotations {
    pub(super) fn new(of: Rotation) -> Self {
        Self { of, ..Self::default() }
    }
}

impl Recorder<'_> {
    /// Refuses rotations that this architecture's block does not bear, or that its widths do not.
    pub(super) fn check_rotations(&self) -> Result<()> {
        let Rotation { residual, values, down_block, .. } = self.rotations.of;
        let wrong = |field: &str, reason: String| {
            Err(Error::config(format!("quantization_config.rotation.{field}"), format_args!("is set, but {reason}")))
        };
        let name = self.config.architecture.name;
        if residual && self.config.architecture.norms != Norms::Pre {
            return wrong("residual", format!("{name} has norms behind its branches"));
        }
        if values && !self.config.head_dim.is_power_of_two() {
            return wrong("values", format!("heads of {} are no power of two", self.config.head_dim));
        }
        if down_block > 0 && self.config.experts.is_some() {
            return wrong("down_block", format!("{name} has experts"));
        }
        if down_block > 0 && !self.config.feed_forward.is_multiple_of(down_block) {
            return wrong("down_block", format!("{down_block} does not divide {}", self.config.feed_forward));
        }
        Ok(())
    }

    /// Declares the signs that are needed; `is_tied` says whether the embedding's table is the head too, and so is not
    /// rotated.
    pub(super) fn declare_signs(&mut self, is_tied: bool) {
        let Rotation { seed, residual, down_block, .. } = self.rotations.of;
        if residual && is_tied {
            self.rotations.stream_signs = Some(self.signs("signs of the stream", Some(seed), self.config.hidden));
        }
        if down_block > 0 {
            self.rotations.inner_signs = Some(self.signs("no signs", None, self.config.feed_forward));
        }
        if self.cache_format() == KvFormat::Int4 {
            let width = self.config.heads * self.config.head_dim;
            self.rotations.head_signs = Some(self.signs("no signs", None, width));
        }
    }

    fn signs(&mut self, label: &str, seed: Option<u64>, columns: u32) -> TensorId {
        let id = self.program.declare(label, TensorKind::State, 1, columns.into());
        self.weights.states.push((id, StateInit::Signs { seed, columns }));
        id
    }

    /// Turns the embeddings into the rotated stream.
    pub(super) fn enter_rotation(&mut self, stream: TensorId) {
        if let Some(signs) = self.rotations.stream_signs {
            let columns = self.config.hidden;
            let params = rotate::Params { columns, block: block_of(columns), undo: 0, single: 0 };
            self.commands.push(Command::Rotate(Rotate { signs, x: stream, params }));
        }
    }

    /// Turns the stream, or its last row if that is `single`, back for the head.
    pub(super) fn leave_rotation(&self, commands: &mut Vec<Command>, x: TensorId, single: bool) {
        if let Some(signs) = self.rotations.stream_signs {
            let columns = self.config.hidden;
            let params = rotate::Params { columns, block: block_of(columns), undo: 1, single: single.into() };
            commands.push(Command::Rotate(Rotate { signs, x, params }));
        }
    }

    /// Rotates heads that meet a cache of four bits, or what was mixed of it back: without signs it is the same.
    pub(super) fn rotate_heads<const COUNT: usize>(&mut self, all: [(TensorId, u32); COUNT]) {
        let Some(signs) = self.rotations.head_signs else { return };
        for (x, heads) in all {
            let head_dim = self.config.head_dim;
            let params = rotate::Params { columns: heads * head_dim, block: block_of(head_dim), undo: 0, single: 0 };
            self.commands.push(Command::Rotate(Rotate { signs, x, params }));
        }
    }

    /// Rotates what a feed-forward layer's last matrix reads.
    pub(super) fn rotate_inner(&mut self, x: TensorId) {
        if let Some(signs) = self.rotations.inner_signs {
            let (columns, block) = (self.config.feed_forward, self.rotations.of.down_block);
            let params = rotate::Params { columns, block, undo: 0, single: 0 };
            self.commands.push(Command::Rotate(Rotate { signs, x, params }));
        }
    }
}
