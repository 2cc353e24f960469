//! A mixture of experts in the feed-forward layer's place (Shazeer et al. 2017): a router scores them, and each token
//! goes to those of the highest scores.

use super::{Recorder, linear};
use crate::{
    Result,
    kernel::{
        ExpertMatvec, Mix, Route,
        shader::{mix, route},
    },
    model::{ExpertConfig, Role},
    plan::Command,
    tensor::TensorId,
};

impl Recorder<'_> {
    pub(super) fn experts(
        &mut self,
        experts: ExpertConfig,
        layer: u32,
        x: TensorId,
        out: TensorId,
        accumulate: bool,
    ) -> Result<()> {
        let ExpertConfig { count, used: slots, feed_forward: width, renormalise } = experts;
        let hidden = self.config.hidden;
        let router = self.weights.matrix(&mut self.program, Role::Router, layer, [count, hidden])?;
        let scores = self.scratch("router scores", count);
        self.commands.push(linear(x, router, scores, [count, hidden], false));
        let routing = self.scratch("routing", 2 * slots);
        let params = route::Params { experts: count, slots, renormalise: u32::from(renormalise) };
        self.commands.push(Command::Route(Route { scores, out: routing, params }));
        let gate = self.expert_matvec(Role::ExpertGate, layer, x, routing, [width, hidden])?;
        let up = self.expert_matvec(Role::ExpertUp, layer, x, routing, [width, hidden])?;
        let activated = self.gate(gate, up, slots * width);
        let answers = self.expert_matvec(Role::ExpertDown, layer, activated, routing, [hidden, width])?;
        let params = mix::Params { columns: hidden, slots, accumulate: u32::from(accumulate) };
        self.commands.push(Command::Mix(Mix { x: answers, routing, out, params }));
        Ok(())
    }

    /// Each chosen expert's matrix of that role, times the token's vector or the expert's own.
    fn expert_matvec(
        &mut self,
        role: Role,
        layer: u32,
        x: TensorId,
        routing: TensorId,
        shape: [u32; 2],
    ) -> Result<TensorId> {
        let (experts, slots) = self.config.experts.map_or((0, 0), |experts| (experts.count, experts.used));
        let weights = self.weights.experts(&mut self.program, role, layer, shape)?;
        let [rows, columns] = shape;
        let out = self.scratch("of each expert", slots * rows);
        let x_shared = role != Role::ExpertDown;
        let command = ExpertMatvec { x, weights, routing, out, columns, rows, experts, slots, x_shared };
        self.commands.push(Command::ExpertMatvec(command));
        Ok(out)
    }
}
