//! The second half of the block: the feed-forward layer, or the experts in its place.

use super::{Recorder, linear};
use crate::{
    Result,
    kernel::{Gated, shader::gated},
    model::{ModelConfig, Role, weights::Fused},
    plan::Command,
    tensor::TensorId,
};

impl Recorder<'_> {
    pub(super) fn feed_forward(&mut self, layer: u32, stream: TensorId) -> Result<()> {
        let x = self.branch_in(Role::FeedForwardNorm, layer, stream)?;
        let out = self.branch_sum(stream);
        let accumulate = out == stream;
        match self.config.experts {
            Some(experts) => self.experts(experts, layer, x, out, accumulate)?,
            None => self.dense(layer, x, out, accumulate)?,
        }
        if out != stream {
            self.branch_out(Role::FeedForwardPostNorm, layer, out, stream)?;
        }
        Ok(())
    }

    fn dense(&mut self, layer: u32, x: TensorId, out: TensorId, accumulate: bool) -> Result<()> {
        let ModelConfig { hidden, feed_forward: width, .. } = *self.config;
        let gate = self.raise(Role::Gate, layer, x)?;
        let up = self.raise(Role::Up, layer, x)?;
        let activated = self.gate(gate, up, width);
        self.rotate_inner(activated);
        let weights = self.weights.matrix(&mut self.program, Role::Down, layer, [hidden, width])?;
        self.commands.push(linear(activated, weights, out, [hidden, width], accumulate));
        self.feed_forward_bias(Role::Down, layer, out, hidden)
    }

    /// Gate or up.
    fn raise(&mut self, role: Role, layer: u32, x: TensorId) -> Result<TensorId> {
        let ModelConfig { hidden, feed_forward: width, .. } = *self.config;
        let weights = if self.weights.are_raises_fused(layer) {
            let first_row = if role == Role::Gate { 0 } else { width };
            let fused = Fused { role: Role::GateUp, first_row, rows: 2 * width };
            self.weights.part(&mut self.program, fused, layer, [width, hidden])?
        } else {
            self.weights.matrix(&mut self.program, role, layer, [width, hidden])?
        };
        let out = self.scratch("raised", width);
        self.commands.push(linear(x, weights, out, [width, hidden], false));
        self.feed_forward_bias(role, layer, out, width)?;
        Ok(out)
    }

    fn feed_forward_bias(&mut self, role: Role, layer: u32, x: TensorId, columns: u32) -> Result<()> {
        let is_configured = self.config.feed_forward_bias == Some(true);
        let bias = self.weights.bias(&mut self.program, role, layer, columns, is_configured)?;
        self.add_bias(bias, x, columns);
        Ok(())
    }

    /// The gate, on rows of so many numbers.
    pub(super) fn gate(&mut self, gate: TensorId, up: TensorId, columns: u32) -> TensorId {
        let out = self.scratch("activated", columns);
        let params = gated::Params { columns, activation: self.config.architecture.activation as u32 };
        self.commands.push(Command::Gated(Gated { gate, up, out, params }));
        out
    }
}
