//! Which weights stay, and which come and go, so that all keep to a budget. A pure function of sizes.
//!
//! A step needs every weight once, always in the same order. Whoever throws out what was used longest ago then throws
//! out what is needed next, and reads everything anew for each step; so as much as fits stays for good, and only the
//! rest is read. What is read is spread evenly over the step: while a unit that stays is computed with, the next one that
//! does not is on its way.

use crate::{
    Error, Result,
    plan::{Placement, Unit},
};

/// A slot to compute from, one that is ready, and one that is being filled. Two still let reading and computing overlap.
const SLOTS: [usize; 3] = [3, 2, 1];

/// Slots beyond the second are worth no more than this part of the budget.
const RING_PART: u64 = 4;

/// Places units, in the order of a step, within so many bytes; with each goes whether it must stay.
pub fn place(units: Vec<(Unit, bool)>, budget_bytes: u64) -> Result<Placement> {
    let sizes: Vec<u64> = units.iter().map(|(unit, _)| unit.bytes).collect();
    let stays: Vec<bool> = units.iter().map(|(_, stays)| *stays).collect();
    let units: Vec<Unit> = units.into_iter().map(|(unit, _)| unit).collect();
    if sum(sizes.iter()) <= budget_bytes {
        return Ok(Placement { places: vec![None; units.len()], units, slots: Vec::new() });
    }
    let choices = SLOTS.iter().filter_map(|slots| {
        let best = caps(&sizes, &stays).filter_map(|cap| choose(&sizes, &stays, cap, *slots, budget_bytes));
        let best = best.min_by_key(|streamed| bytes_of(&sizes, streamed))?;
        let ring = largest(&sizes, &best).saturating_mul(*slots as u64);
        (*slots <= 2 || ring <= budget_bytes / RING_PART).then_some((best, *slots))
    });
    let Some((streamed, slots)) = choices.into_iter().next() else {
        return Err(Error::OutOfMemory {
            what: "the weights, however many of them are read anew for each token,".to_owned(),
            requested_bytes: least(&sizes, &stays),
            available_bytes: budget_bytes,
        });
    };
    Ok(in_turn(units, &streamed, slots))
}

/// The least budget with which units of such sizes can be placed.
fn least(sizes: &[u64], stays: &[bool]) -> u64 {
    let all = sum(sizes.iter());
    caps(sizes, stays).map(|cap| held(sizes, stays, cap).saturating_add(cap)).min().unwrap_or(all).min(all)
}

/// Sizes that the largest unit that comes and goes may have.
fn caps(sizes: &[u64], stays: &[bool]) -> impl Iterator<Item = u64> {
    let mut caps: Vec<u64> = sizes.iter().zip(stays).filter(|(_, stays)| !**stays).map(|(size, _)| *size).collect();
    caps.sort_unstable();
    caps.dedup();
    caps.into_iter()
}

/// Bytes of all that must stay, and of all that is larger than the cap.
fn held(sizes: &[u64], stays: &[bool], cap: u64) -> u64 {
    sum(sizes.iter().zip(stays).filter(|(size, stays)| **stays || **size > cap).map(|(size, _)| size))
}

/// Which units come and go if none of them is larger than `cap`; None if that passes the budget.
fn choose(sizes: &[u64], stays: &[bool], cap: u64, slots: usize, budget_bytes: u64) -> Option<Vec<bool>> {
    let ring = cap.checked_mul(slots as u64)?;
    let room = budget_bytes.checked_sub(ring)?;
    if held(sizes, stays, cap) > room {
        return None;
    }
    let may: Vec<bool> = sizes.iter().zip(stays).map(|(size, stays)| !stays && *size <= cap).collect();
    Some(spread(sizes, &may, sum(sizes.iter()).saturating_sub(room)))
}

/// Units of at least `wanted_bytes` of those that may come and go, spread evenly among them.
fn spread(sizes: &[u64], may: &[bool], wanted_bytes: u64) -> Vec<bool> {
    let all = u128::from(bytes_of(sizes, may).max(1));
    let wanted = u128::from(wanted_bytes);
    let (mut owed, mut streamed) = (0_u128, vec![false; sizes.len()]);
    // As a line is drawn in dots: a unit is taken when more than half of it is owed.
    for (index, size) in sizes.iter().enumerate().filter(|(index, _)| may[*index]) {
        let size = u128::from(*size);
        owed += size * wanted;
        if owed * 2 >= size * all {
            owed = owed.saturating_sub(size * all);
            streamed[index] = true;
        }
    }
    // Rounding may have left a little too few, or too many.
    while bytes_of(sizes, &streamed) < wanted_bytes {
        let missing = wanted_bytes - bytes_of(sizes, &streamed);
        let rest = (0..sizes.len()).filter(|index| may[*index] && !streamed[*index]);
        let Some(next) = rest.min_by_key(|index| (sizes[*index] < missing, sizes[*index].abs_diff(missing))) else {
            break;
        };
        streamed[next] = true;
    }
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|index| std::cmp::Reverse(sizes[*index]));
    for index in by_size {
        if streamed[index] && bytes_of(sizes, &streamed) - sizes[index] >= wanted_bytes {
            streamed[index] = false;
        }
    }
    streamed
}

/// Gives the units that come and go the slots in turn.
fn in_turn(units: Vec<Unit>, streamed: &[bool], slots: usize) -> Placement {
    let count = streamed.iter().filter(|streamed| **streamed).count();
    let mut sizes = vec![0; slots.min(count)];
    let (mut places, mut next) = (Vec::with_capacity(units.len()), 0);
    for (unit, streamed) in units.iter().zip(streamed) {
        places.push(streamed.then(|| {
            let slot = next % sizes.len().max(1);
            next += 1;
            sizes[slot] = unit.bytes.max(sizes[slot]);
            slot
        }));
    }
    Placement { units, places, slots: sizes }
}

fn bytes_of(sizes: &[u64], which: &[bool]) -> u64 {
    sum(sizes.iter().zip(which).filter(|(_, is_one)| **is_one).map(|(size, _)| size))
}

fn largest(sizes: &[u64], which: &[bool]) -> u64 {
    sizes.iter().zip(which).filter(|(_, is_one)| **is_one).map(|(size, _)| *size).max().unwrap_or(0)
}

fn sum<'a>(sizes: impl Iterator<Item = &'a u64>) -> u64 {
    sizes.fold(0, |sum, size| sum.saturating_add(*size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(sizes: &[u64]) -> Vec<(Unit, bool)> {
        sizes.iter().map(|bytes| (Unit { tensors: Vec::new(), bytes: *bytes }, false)).collect()
    }

    /// Bytes that are in memory at once, at most.
    fn taken(placement: &Placement) -> u64 {
        placement.resident_bytes() + placement.slots_bytes()
    }

    #[test]
    fn what_fits_stays_and_nothing_else_is_allocated() {
        let placement = place(units(&[3, 4, 5]), 12).unwrap();
        assert_eq!(placement.places, [None; 3]);
        assert!(!placement.streams() && placement.slots.is_empty());
    }

    #[test]
    fn what_is_read_is_spread_over_the_step() {
        // Thirty-two alike: half of the budget goes to those that stay, and between two that are read is one that stays.
        let placement = place(units(&[10; 32]), 190).unwrap();
        assert_eq!(placement.slots, [10; 3]);
        let streamed: Vec<usize> = placement.streamed().map(|(unit, _)| unit).collect();
        assert_eq!(streamed.len(), 16);
        assert!(streamed.windows(2).all(|pair| (1..=3).contains(&(pair[1] - pair[0]))), "{streamed:?}");
    }

    #[test]
    fn a_large_table_stays_so_that_slots_stay_small() {
        let mut sizes = vec![10; 20];
        sizes[0] = 60;
        let placement = place(units(&sizes), 150).unwrap();
        assert_eq!(placement.places[0], None);
        assert_eq!(placement.slots, [10; 3]);
    }

    #[test]
    fn a_budget_below_the_least_is_refused_with_both_numbers() {
        let Err(Error::OutOfMemory { requested_bytes, available_bytes, .. }) = place(units(&[7, 9, 8]), 8) else {
            panic!("it was placed");
        };
        assert_eq!((requested_bytes, available_bytes), (9, 8));
        assert_eq!(place(units(&[7, 9, 8]), 9).unwrap().slots, [9]);
    }

    #[test]
    fn what_must_stay_does() {
        let mut all = units(&[50, 10, 10, 10]);
        all[0].1 = true;
        assert_eq!(place(all.clone(), 70).unwrap().places[0], None);
        assert!(place(all, 59).is_err());
    }

    proptest! {
        #[test]
        fn every_placement_keeps_to_its_budget_and_reads_little_more_than_it_must(
            sizes in prop::collection::vec(1..1000_u64, 1..60),
            stays in prop::collection::vec(prop::bool::weighted(0.1), 60),
            part in 0.0..1.2_f64,
        ) {
            let total: u64 = sizes.iter().sum();
            let budget = (total as f64 * part) as u64;
            let all: Vec<(Unit, bool)> =
                units(&sizes).into_iter().zip(&stays).map(|((unit, _), stays)| (unit, *stays)).collect();
            match place(all, budget) {
                Err(Error::OutOfMemory { requested_bytes, available_bytes, .. }) => {
                    prop_assert!(requested_bytes > available_bytes, "{requested_bytes} {available_bytes}");
                    prop_assert_eq!(available_bytes, budget);
                }
                Err(other) => panic!("{other}"),
                Ok(placement) => {
                    prop_assert!(taken(&placement) <= budget);
                    prop_assert_eq!(placement.resident_bytes() + placement.streamed_bytes(), total);
                    prop_assert_eq!(placement.streams(), total > budget);
                    for (unit, slot) in placement.streamed() {
                        prop_assert!(!stays[unit]);
                        prop_assert!(placement.slots[slot] >= sizes[unit]);
                    }
                    // Nothing that is read could have stayed as well: less than the smallest of it is left over.
                    let smallest = placement.streamed().map(|(unit, _)| sizes[unit]).min().unwrap_or(u64::MAX);
                    let rings = placement.slots.len() as u64 * placement.slots.iter().max().copied().unwrap_or(0);
                    prop_assert!(budget.saturating_sub(placement.resident_bytes() + rings) < smallest);
                }
            }
        }

        #[test]
        fn the_least_budget_suffices_and_one_byte_less_does_not(sizes in prop::collection::vec(1..1000_u64, 2..40)) {
            let stays = vec![false; sizes.len()];
            let least = least(&sizes, &stays);
            prop_assert!(place(units(&sizes), least).is_ok());
            prop_assert!(place(units(&sizes), least - 1).is_err());
        }
    }
}
