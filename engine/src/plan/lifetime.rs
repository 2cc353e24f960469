//! Which scratch tensors can share memory: those that are never alive at the same time.

use super::{Program, TensorKind};
use crate::tensor::TensorId;

/// A piece of memory that one or several scratch tensors use in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The largest of its tensors, in F32 elements.
    pub elements: u64,
    /// Who uses it.
    pub tensors: Vec<TensorId>,
}

/// All scratch memory of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// The pieces.
    pub slots: Vec<Slot>,
}

impl Slots {
    /// Gives each scratch tensor a slot. Two tensors share one only if no plan needs both at once; a command's operands
    /// are all needed at once, so that no kernel reads what it writes unless it says so itself, and so are those of
    /// commands that a device may [fuse](super::Fusion).
    pub fn assign(program: &Program) -> Self {
        let mut slots: Vec<Slot> = Vec::new();
        let spans: Vec<Vec<Option<(usize, usize)>>> = program.plans.iter().map(|plan| spans(program, plan)).collect();
        let alive_together = |a: TensorId, b: TensorId| {
            spans.iter().any(|spans| match (spans[a.0 as usize], spans[b.0 as usize]) {
                (Some((a_first, a_last)), Some((b_first, b_last))) => a_first <= b_last && b_first <= a_last,
                _ => false,
            })
        };
        let mut scratch: Vec<TensorId> = (0..program.tensors.len() as u32)
            .map(TensorId)
            .filter(|id| program.tensor(*id).kind == TensorKind::Scratch)
            .collect();
        // Largest first, so that small tensors move into the memory of large ones.
        scratch.sort_by_key(|id| std::cmp::Reverse(program.tensor(*id).elements()));
        for id in scratch {
            let elements = program.tensor(id).elements();
            match slots.iter_mut().find(|slot| slot.tensors.iter().all(|other| !alive_together(id, *other))) {
                Some(slot) => slot.tensors.push(id),
                None => slots.push(Slot { elements, tensors: vec![id] }),
            }
        }
        Self { slots }
    }

    /// Bytes of all slots.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(|slot| slot.elements * 4).sum()
    }
}

/// The first and the last time at which each tensor is touched.
fn spans(program: &Program, plan: &super::Plan) -> Vec<Option<(usize, usize)>> {
    let mut spans = vec![None; program.tensors.len()];
    for (time, command) in super::fuse::times(program, plan).into_iter().zip(&plan.commands) {
        for id in command.operands() {
            let span = &mut spans[id.0 as usize];
            *span = Some(span.map_or((time, time), |(first, _)| (first, time)));
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{Gated, shader::gated::Params},
        plan::{Command, Plan},
    };

    fn gated(gate: TensorId, up: TensorId, out: TensorId) -> Command {
        Command::Gated(Gated { gate, up, out, params: Params { columns: 4, activation: 0 } })
    }

    #[test]
    fn tensors_share_memory_only_when_their_lives_are_apart() {
        let mut program = Program::default();
        let [a, b, c, d]: [TensorId; 4] =
            std::array::from_fn(|index| program.declare(format!("t{index}"), TensorKind::Scratch, 1, 4 + index as u64));
        let plan = |commands| Plan { name: "test".into(), tokens_max: 1, commands };
        // a and b end where c begins: c must not share with them, but d, written later, may.
        program.plans.push(plan(vec![gated(a, b, c), gated(c, c, d)]));
        let slots = Slots::assign(&program);
        let slot_of = |id| slots.slots.iter().position(|slot| slot.tensors.contains(&id)).unwrap();
        assert_ne!(slot_of(a), slot_of(b));
        assert_ne!(slot_of(a), slot_of(c));
        assert_ne!(slot_of(c), slot_of(d));
        assert!([slot_of(a), slot_of(b)].contains(&slot_of(d)));
        // d moves in with b, whose memory it covers.
        assert_eq!(slots.bytes(), 4 * (7 + 6 + 4));
        // A second plan that needs a and d at once forbids what the first allowed.
        program.plans.push(plan(vec![gated(a, b, d)]));
        let slots = Slots::assign(&program);
        assert!(slots.slots.iter().all(|slot| !(slot.tensors.contains(&d) && slot.tensors.len() > 1)));
    }
}
