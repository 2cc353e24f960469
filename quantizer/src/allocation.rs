//! How many bits each group of matrices gets, so that all together cost the least and fit a budget.

use std::ops::RangeInclusive;

use hearth_engine::{Error, Result};

/// Bits that a group may have, as the trellis has them.
const BITS: RangeInclusive<u32> = crate::trellis::BITS;
/// How finely a budget is counted, at most.
const STEPS_MAX: u64 = 100_000;

/// Matrices that get the same number of bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Their names.
    pub tensors: Vec<String>,
    /// Their weights, in all.
    pub weights: u64,
    /// What 2 to 6 bits cost: nats of divergence, or any other measure that adds up.
    pub costs: [f64; 5],
}

/// Bits for each group, of the least cost in all among those of at most `bits` a weight. By dynamic programming over
/// the budget: the costs need not be convex.
pub fn allocate(groups: &[Group], bits: f64) -> Result<Vec<u32>> {
    let weights: u64 = groups.iter().map(|group| group.weights).sum();
    let (least, most) = (f64::from(*BITS.start()), f64::from(*BITS.end()));
    if !bits.is_finite() || bits < least {
        return Err(Error::invalid(
            "target-bpw",
            format_args!("{bits} is less than {least}, which no code goes below"),
        ));
    }
    let budget = (weights as f64 * bits.min(most)).floor() as u64;
    // All sums are multiples of this; if that is too fine, groups are counted a little larger than they are.
    let common = groups.iter().fold(0, |common, group| greatest_common_divisor(common, group.weights));
    let step = common.max(budget.div_ceil(STEPS_MAX)).max(1);
    let steps = (budget / step) as usize;
    // What the groups so far cost at least within each budget, and the bits of the last of them.
    let mut costs = vec![0.0f64; steps + 1];
    let mut choices: Vec<Vec<u8>> = Vec::new();
    for group in groups {
        let mut next = vec![f64::INFINITY; steps + 1];
        let mut chosen = vec![0u8; steps + 1];
        for (bits, cost) in BITS.zip(group.costs) {
            let size = (group.weights * u64::from(bits)).div_ceil(step) as usize;
            for at in size..=steps {
                let sum = costs[at - size] + cost;
                if sum < next[at] {
                    (next[at], chosen[at]) = (sum, bits as u8);
                }
            }
        }
        costs = next;
        choices.push(chosen);
    }
    let mut at = steps;
    let mut found = Vec::new();
    for (group, chosen) in groups.iter().zip(&choices).rev() {
        // A budget that rounding has made too small for all leaves some at the least.
        let bits = u32::from(chosen[at]).max(*BITS.start());
        at = at.saturating_sub((group.weights * u64::from(bits)).div_ceil(step) as usize);
        found.push(bits);
    }
    found.reverse();
    Ok(found)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn groups(count: usize) -> Vec<Group> {
        let mut random = Random::new(8);
        let mut group = || {
            let sensitivity = random.uniform() + 0.01;
            // Not convex: a step is sometimes worth less than the one after it.
            let costs = std::array::from_fn(|at| sensitivity * 0.25f64.powi(at as i32) * (0.5 + random.uniform()));
            Group { tensors: Vec::new(), weights: 512 * (1 + random.bits() % 6), costs }
        };
        (0..count).map(|_| group()).collect()
    }

    fn sums(groups: &[Group], bits: &[u32]) -> (f64, u64) {
        let each = groups.iter().zip(bits);
        each.fold((0.0, 0), |(cost, size), (group, bits)| {
            (cost + group.costs[*bits as usize - 2], size + group.weights * u64::from(*bits))
        })
    }

    #[test]
    fn nothing_within_the_budget_costs_less() {
        let groups = groups(6);
        let weights: u64 = groups.iter().map(|group| group.weights).sum();
        for target in [2.0, 2.25, 2.5, 3.1, 4.0, 5.5, 6.0, 9.0] {
            let (cost, size) = sums(&groups, &allocate(&groups, target).unwrap());
            assert!(size as f64 <= weights as f64 * target, "{target}");
            for code in 0..5usize.pow(6) {
                let bits: Vec<u32> = (0..6).map(|at| 2 + (code / 5usize.pow(at) % 5) as u32).collect();
                let (other, size) = sums(&groups, &bits);
                assert!(size as f64 > weights as f64 * target || other >= cost - 1e-12, "{target}: {bits:?}");
            }
        }
    }

    #[test]
    fn a_budget_that_no_code_keeps_is_refused() {
        for target in [1.9, 0.0, -3.0, f64::NAN] {
            assert!(allocate(&groups(3), target).is_err(), "{target}");
        }
    }

    #[test]
    fn many_groups_of_odd_sizes_keep_the_budget() {
        let mut groups = groups(300);
        for (at, group) in groups.iter_mut().enumerate() {
            group.weights = 1_000_003 + at as u64;
        }
        let weights: u64 = groups.iter().map(|group| group.weights).sum();
        let (_, size) = sums(&groups, &allocate(&groups, 3.0).unwrap());
        let used = size as f64 / weights as f64;
        assert!((2.9..=3.0).contains(&used), "{used}");
    }
}
