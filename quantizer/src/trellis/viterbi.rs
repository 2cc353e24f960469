//! The recursion over all windows, from the last weight to the first.
//!
//! Window `s` of weight `t` continues in a window `(s >> K) | (new << (L - K))` of weight `t + 1`, so all windows that
//! share `s >> K`, a group, have the same 2^K ways on. Going backwards, a group's best way is the least of 2^K costs
//! that lie `2^(L - K)` apart, and the costs of its 2^K windows lie side by side: both are vectors, without a gather.
//!
//! Costs are whole numbers of 16 bits that saturate, less the least cost of the step before: every machine, and a
//! shader, computes the same ones in any order. Of equal costs the least `new` wins, and of equal first windows the
//! least.

/// Groups that are computed together.
const LANES: usize = 32;

/// What one weight's windows cost, and the ways on from there.
pub(super) struct Step<'a> {
    /// Of the next weight's windows, 2^L.
    pub from: &'a [u16],
    /// Of this weight's windows, 2^L.
    pub to: &'a mut [u16],
    /// The best `new` of each group, 2^(L - K).
    pub choices: &'a mut [u8],
    /// What each window stands for, 2^L.
    pub levels: &'a [u16],
    /// What this weight should be.
    pub target: u16,
    /// The least of `from`, which is taken from all costs.
    pub floor: u16,
}

/// Twice the distance for each bit above two, squared, without its lower 16 bits: finer codes need finer costs, and
/// what is far away for them costs the most there is.
#[inline(always)]
pub(super) fn distance(bits: u32, target: u16, level: u16) -> u16 {
    let mut apart = target.abs_diff(level);
    for _ in 2..bits {
        apart = apart.saturating_add(apart);
    }
    ((u32::from(apart) * u32::from(apart)) >> 16) as u16
}

/// One weight; gives the least cost.
#[inline(always)]
fn step<const BITS: u32>(step: Step<'_>) -> u16 {
    let Step { from, to, choices, levels, target, floor } = step;
    let groups = from.len() >> BITS;
    let ways = 1usize << BITS;
    let mut least = [u16::MAX; LANES];
    let chunks = to.chunks_exact_mut(LANES << BITS).zip(levels.chunks_exact(LANES << BITS));
    for (chunk, ((to, levels), choices)) in chunks.zip(choices.as_chunks_mut::<LANES>().0).enumerate() {
        let at = chunk * LANES;
        let mut best = [u16::MAX; LANES];
        let mut choice = [0u16; LANES];
        for new in 0..ways {
            let Some(costs) = from[new * groups + at..].first_chunk::<LANES>() else { continue };
            for lane in 0..LANES {
                let is_less = costs[lane] < best[lane];
                choice[lane] = if is_less { new as u16 } else { choice[lane] };
                best[lane] = best[lane].min(costs[lane]);
            }
        }
        for (choices, choice) in choices.iter_mut().zip(choice) {
            *choices = choice as u8;
        }
        for best in &mut best {
            *best = best.saturating_sub(floor);
        }
        let parts = to.as_chunks_mut::<LANES>().0.iter_mut().zip(levels.as_chunks::<LANES>().0);
        for (part, (to, levels)) in parts.enumerate() {
            let mut costs = [0u16; LANES];
            for lane in 0..LANES {
                costs[lane] = best[(part * LANES + lane) >> BITS];
            }
            for lane in 0..LANES {
                costs[lane] = costs[lane].saturating_add(distance(BITS, target, levels[lane]));
                least[lane] = least[lane].min(costs[lane]);
            }
            *to = costs;
        }
    }
    least.iter().copied().fold(u16::MAX, u16::min)
}

/// The recursion's step for so many bits, with the best instructions that this machine has.
pub(super) fn step_for(bits: u32) -> fn(Step<'_>) -> u16 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return match bits {
            2 => wide::<2>,
            3 => wide::<3>,
            4 => wide::<4>,
            5 => wide::<5>,
            _ => wide::<6>,
        };
    }
    match bits {
        2 => step::<2>,
        3 => step::<3>,
        4 => step::<4>,
        5 => step::<5>,
        _ => step::<6>,
    }
}

/// The same lines, compiled for vectors of 32 bytes. Others (NEON, SIMD128) are what their targets start from.
#[cfg(target_arch = "x86_64")]
fn wide<const BITS: u32>(given: Step<'_>) -> u16 {
    #[target_feature(enable = "avx2")]
    fn compiled<const BITS: u32>(given: Step<'_>) -> u16 {
        step::<BITS>(given)
    }
    // SAFETY: `step_for` gives this function away only where the machine has AVX2.
    unsafe { compiled::<BITS>(given) }
}
