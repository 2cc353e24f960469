//! What is in the slots, and what to bring next. Knows neither devices nor files, so that random sequences can be tried
//! on it.

use crate::plan::Placement;

/// What a slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    /// On its way.
    Coming(usize),
    Here(usize),
}

/// The slots through which weights come and go.
#[derive(Clone, Debug)]
pub struct Ring {
    slots: Vec<Held>,
    places: Vec<Option<usize>>,
}

impl Ring {
    /// All empty.
    pub fn new(placement: &Placement) -> Self {
        Self { slots: vec![Held::Nothing; placement.slots.len()], places: placement.places.clone() }
    }

    fn slot(&self, unit: usize) -> Option<usize> {
        self.places.get(unit).copied().flatten()
    }

    fn held(&self, unit: usize) -> Held {
        self.slot(unit).map_or(Held::Here(unit), |slot| self.slots[slot])
    }

    /// Whether a unit is there. What stays always is.
    pub fn is_here(&self, unit: usize) -> bool {
        self.held(unit) == Held::Here(unit)
    }

    /// Whether a unit is on its way.
    pub fn is_coming(&self, unit: usize) -> bool {
        self.held(unit) == Held::Coming(unit)
    }

    /// What is on its way into the slot of a unit.
    pub fn coming_into_slot_of(&self, unit: usize) -> Option<usize> {
        if let Held::Coming(other) = self.held(unit) { Some(other) } else { None }
    }

    /// A unit's slot is lent to whoever reads it; what was there is gone.
    pub fn begin(&mut self, unit: usize) {
        self.set(unit, Held::Coming(unit));
    }

    /// A unit has come.
    pub fn arrive(&mut self, unit: usize) {
        self.set(unit, Held::Here(unit));
    }

    /// A unit could not be read.
    pub fn fail(&mut self, unit: usize) {
        self.set(unit, Held::Nothing);
    }

    fn set(&mut self, unit: usize, held: Held) {
        if let Some(slot) = self.slot(unit) {
            self.slots[slot] = held;
        }
    }

    /// Which units to begin to read, in order, while that at `at` of a step's `sequence` is computed with. After the last
    /// of the sequence comes the first. No slot is given away before its last reader has read it.
    pub fn ahead(&self, sequence: &[usize], at: usize) -> Vec<usize> {
        let mut is_kept = vec![false; self.slots.len()];
        let mut wanted = Vec::new();
        for nth in 0..sequence.len() {
            let unit = sequence[(at + nth) % sequence.len()];
            let Some(slot) = self.slot(unit) else { continue };
            let is_its_own = self.is_here(unit) || self.is_coming(unit) || wanted.contains(&unit);
            if is_kept[slot] && !is_its_own {
                break;
            }
            is_kept[slot] = true;
            if is_its_own {
                continue;
            }
            if nth == 0 || matches!(self.slots[slot], Held::Coming(_)) {
                break;
            }
            wanted.push(unit);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{memory::place, plan::Unit};

    fn placed(sizes: &[u64], budget: u64) -> Option<Placement> {
        let units = sizes.iter().map(|bytes| (Unit { tensors: Vec::new(), bytes: *bytes }, false));
        place(units.collect(), budget).ok()
    }

    #[test]
    fn what_comes_next_is_read_while_a_unit_is_used() {
        let placement = placed(&[10; 8], 40).unwrap();
        assert_eq!(placement.slots.len(), 2, "{placement:?}");
        let sequence: Vec<usize> = placement.streamed().map(|(unit, _)| unit).collect();
        let mut ring = Ring::new(&placement);
        ring.begin(sequence[0]);
        ring.arrive(sequence[0]);
        assert_eq!(ring.ahead(&sequence, 0), [sequence[1]]);
        ring.begin(sequence[1]);
        // It is on its way, and the slot of the one behind it is in use.
        assert!(ring.ahead(&sequence, 0).is_empty());
        ring.arrive(sequence[1]);
        assert_eq!(ring.ahead(&sequence, 1), [sequence[2]]);
    }

    #[test]
    fn behind_the_last_comes_the_first() {
        let placement = placed(&[10; 8], 40).unwrap();
        let sequence: Vec<usize> = placement.streamed().map(|(unit, _)| unit).collect();
        let mut ring = Ring::new(&placement);
        let last = sequence.len() - 1;
        ring.begin(sequence[last]);
        ring.arrive(sequence[last]);
        let first = ring.ahead(&sequence, last);
        assert_eq!(first.first(), sequence.first());
    }

    proptest! {
        /// Steps over a model of the slots, in which reads end in any order and some fail: what is used is always what was
        /// read, nothing that will be used is thrown out before, and what could stay is never read again.
        #[test]
        fn random_steps_never_use_what_is_not_there(
            sizes in prop::collection::vec(1..100_u64, 2..24),
            part in 0.1..1.0_f64,
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            events in prop::collection::vec(0..10_u8, 1..400),
        ) {
            let total: u64 = sizes.iter().sum();
            let Some(placement) = placed(&sizes, (total as f64 * part) as u64) else { return Ok(()) };
            let mut sequence: Vec<usize> = (0..sizes.len()).collect();
            // Some weights are used twice in a step, as a table at both of its ends is.
            sequence.extend(again.iter().map(|index| index.index(sizes.len())));
            let mut ring = Ring::new(&placement);
            let mut model: Vec<Option<usize>> = vec![None; placement.slots.len()];
            let mut coming: Vec<usize> = Vec::new();
            let mut at = 0;
            for event in events {
                // A read that was begun ends, well or badly.
                if event < 4 && !coming.is_empty() {
                    let unit = coming.remove(usize::from(event) % coming.len());
                    if event == 0 {
                        ring.fail(unit);
                    } else {
                        ring.arrive(unit);
                        model[placement.places[unit].unwrap()] = Some(unit);
                    }
                    continue;
                }
                let unit = sequence[at % sequence.len()];
                let Some(slot) = placement.places[unit] else {
                    prop_assert!(ring.is_here(unit));
                    at += 1;
                    continue;
                };
                if !ring.is_here(unit) {
                    // Whoever needs it waits for what is on its way into its slot, and then reads it.
                    if let Some(other) = ring.coming_into_slot_of(unit) {
                        coming.retain(|coming| *coming != other);
                        ring.arrive(other);
                        model[slot] = Some(other);
                    }
                    if !ring.is_here(unit) {
                        ring.begin(unit);
                        ring.arrive(unit);
                        model[slot] = Some(unit);
                    }
                }
                for next in ring.ahead(&sequence, at % sequence.len()) {
                    prop_assert!(!ring.is_here(next) && !ring.is_coming(next));
                    prop_assert!(!coming.iter().any(|other| placement.places[*other] == placement.places[next]));
                    ring.begin(next);
                    model[placement.places[next].unwrap()] = None;
                    coming.push(next);
                }
                // Whatever was begun meanwhile: what is computed with is still there.
                prop_assert!(ring.is_here(unit));
                prop_assert_eq!(model[slot], Some(unit));
                at += 1;
            }
        }
    }
}
