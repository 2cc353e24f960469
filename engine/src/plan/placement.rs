//! Which weights stay on a device for good, and which come and go through slots that they share in turn. A plan is cut
//! where it needs other weights than before: each piece needs one unit that comes and goes, at most.

use std::ops::Range;

use super::{Program, TensorKind};
use crate::tensor::TensorId;

/// Matrices begin on a cache line, and a device may keep rows side by side, so many together.
const ALIGNMENT_BYTES: u64 = 64;
const ROWS_TOGETHER: u64 = 16;

/// Weights that come and go together: a matrix, or several that a device keeps in one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its matrices, and where each begins, in bytes from the unit's start.
    pub tensors: Vec<(TensorId, u64)>,
    /// Bytes of all of it: rows as they are stored, filled up to whole groups.
    pub bytes: u64,
}

impl Unit {
    fn of(program: &Program, ids: &[TensorId]) -> Self {
        let (mut tensors, mut bytes) = (Vec::with_capacity(ids.len()), 0_u64);
        for id in ids {
            tensors.push((*id, bytes));
            let decl = program.tensor(*id);
            let TensorKind::Weight(format) = decl.kind else { continue };
            let rows = decl.rows.checked_next_multiple_of(ROWS_TOGETHER).unwrap_or(u64::MAX);
            let stored = format.row_bytes(decl.columns).unwrap_or(u64::MAX).saturating_mul(rows);
            bytes = bytes.saturating_add(stored.div_ceil(ALIGNMENT_BYTES).saturating_mul(ALIGNMENT_BYTES));
        }
        Self { tensors, bytes }
    }

    /// All weights of a program, in the order in which its plans first need them. Each of `together` stays one unit.
    pub fn all(program: &Program, together: &[Vec<TensorId>]) -> Vec<Self> {
        let mut units: Vec<Self> = Vec::new();
        let mut is_known = vec![false; program.tensors.len()];
        for command in program.plans.iter().flat_map(|plan| &plan.commands) {
            for id in command.operands() {
                let is_weight = matches!(program.tensor(id).kind, TensorKind::Weight(_));
                if !is_weight || is_known[id.0 as usize] {
                    continue;
                }
                let ids = together.iter().find(|ids| ids.contains(&id)).cloned().unwrap_or_else(|| vec![id]);
                ids.iter().for_each(|id| is_known[id.0 as usize] = true);
                units.push(Self::of(program, &ids));
            }
        }
        units
    }
}

/// Where the units of a program's weights are kept. Without any units, everything stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// In the order in which a step needs them.
    pub units: Vec<Unit>,
    /// Of each unit the slot into which it comes; None if it stays.
    pub places: Vec<Option<usize>>,
    /// Bytes of each slot.
    pub slots: Vec<u64>,
}

/// A piece of a list, and the unit that must be there for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which items of the list.
    pub items: Range<usize>,
    /// Which unit; None if all that they need stays.
    pub unit: Option<usize>,
}

impl Placement {
    /// Whether anything comes and goes.
    pub fn streams(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The unit of a matrix that comes and goes, and where in it the matrix begins.
    pub fn unit_of(&self, id: TensorId) -> Option<(usize, u64)> {
        self.streamed().find_map(|(unit, _)| {
            let tensors = &self.units[unit].tensors;
            tensors.iter().find(|(tensor, _)| *tensor == id).map(|(_, at)| (unit, *at))
        })
    }

    /// The units that come and go, each with its slot.
    pub fn streamed(&self) -> impl Iterator<Item = (usize, usize)> {
        self.places.iter().enumerate().filter_map(|(unit, slot)| slot.map(|slot| (unit, slot)))
    }

    /// Bytes that are read in a step: those of all units that come and go.
    pub fn streamed_bytes(&self) -> u64 {
        self.streamed().map(|(unit, _)| self.units[unit].bytes).sum()
    }

    /// Bytes of the units that stay.
    pub fn resident_bytes(&self) -> u64 {
        let stay = self.units.iter().zip(&self.places).filter(|(_, slot)| slot.is_none());
        stay.map(|(unit, _)| unit.bytes).sum()
    }

    /// Bytes of all slots.
    pub fn slots_bytes(&self) -> u64 {
        self.slots.iter().sum()
    }

    /// Cuts a list; `needs` are the matrices that each of its items reads.
    pub fn cut(&self, needs: impl Iterator<Item = Vec<TensorId>>) -> Vec<Segment> {
        let mut segments = vec![Segment { items: 0..0, unit: None }];
        for (index, ids) in needs.enumerate() {
            let unit = ids.into_iter().find_map(|id| self.unit_of(id)).map(|(unit, _)| unit);
            match segments.last_mut() {
                Some(last) if unit.is_none() || last.unit.is_none_or(|held| Some(held) == unit) => {
                    last.items.end = index + 1;
                    last.unit = last.unit.or(unit);
                }
                _ => segments.push(Segment { items: index..index + 1, unit }),
            }
        }
        segments
    }
}
