//! A plan as text, for people.

use std::fmt::{Display, Formatter, Result};

use super::{Program, Slots, TensorKind};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = |kind: TensorKind| match kind {
            TensorKind::Weight(format) => format.name(),
            TensorKind::State => "state",
            TensorKind::Scratch => "scratch",
            TensorKind::Tokens => "tokens",
        };
        for (index, tensor) in self.tensors.iter().enumerate() {
            writeln!(f, "%{index} {} ({}, {}) {}", name(tensor.kind), tensor.rows, tensor.columns, tensor.label)?;
        }
        writeln!(f, "scratch: {} bytes in {} slots", Slots::assign(self).bytes(), Slots::assign(self).slots.len())?;
        for plan in &self.plans {
            writeln!(f, "\n{}: up to {} tokens, {} commands", plan.name, plan.tokens_max, plan.commands.len())?;
            for command in &plan.commands {
                let operands: Vec<String> = command
                    .operands()
                    .iter()
                    .zip(command.kernel().bindings())
                    .map(|(id, access)| match access {
                        crate::kernel::Access::Read => format!("%{}", id.0),
                        crate::kernel::Access::Write => format!("-> %{}", id.0),
                    })
                    .collect();
                writeln!(f, "  {:<10} {}", command.kernel().name(), operands.join(" "))?;
            }
        }
        Ok(())
    }
}
