//! The encoder of [`hearth_engine::quant::trellis`]: finds the ring of bits whose windows stand for numbers that lie as
//! near to 256 given ones as can be, by the algorithm of Viterbi (1967).
//!
//! A ring has no beginning, which the recursion needs. It is found as in QTIP (Tseng et al. 2024, section 3.3): first
//! the weights around the seam alone are encoded as if they were no ring; the bits that the windows on both sides of the
//! seam share there are then held fixed, and all weights are encoded between them. Far from the seam its bits do not
//! matter any more, so some tens of weights on each side are enough.

mod viterbi;

use hearth_engine::{
    Error, Result,
    quant::trellis::{Code, TILE_WEIGHTS, tile_bytes},
};
use viterbi::{Step, step_for};

/// A target's step: numbers of a row whose scale is 1 times this.
const LEVELS_PER_UNIT: f32 = 4096.0;

/// The level that stands for 0.
const ZERO_LEVEL: f32 = 32768.0;

/// How far beyond the greatest number a target may lie, for two bits; half as far for each bit more. Farther away all
/// windows would cost the most there is, and none would be the best.
const MARGIN: u16 = 8192;

/// How many weights on each side of the seam are encoded to find its bits.
pub const SEAM_WEIGHTS: usize = 32;

/// How many bits a weight may have.
pub const BITS: std::ops::RangeInclusive<u32> = 2..=6;

/// What an encoder knows before it sees a weight.
#[derive(Clone, Debug)]
pub struct Trellis {
    bits: u32,
    code: Code,
    seam_weights: usize,
    /// What each window stands for, as [`level`] counts.
    levels: Vec<u16>,
    /// What a target is held within.
    reach: (u16, u16),
    step: fn(Step<'_>) -> u16,
}

/// Somebody who finds the rings of many tiles at once, the same bytes as [`Trellis::encode_targets`] does.
pub trait EncodesTiles: Sync {
    /// Whether it can, for such a code.
    fn knows(&self, trellis: &Trellis) -> bool;
    /// The rings for tiles of 256 targets each, one behind the other. None where it cannot, or can no longer; then they
    /// are found here.
    fn encode(&self, trellis: &Trellis, targets: &[u16]) -> Option<Vec<u8>>;
}

/// What an encoder writes on while it works; one for each thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    costs: [Vec<u16>; 2],
    choices: Vec<u8>,
}

/// A number, with the row's scale taken away, as the encoder counts: rounded to 1/4096, the nearer one or else the even
/// one, and held within 8 on both sides.
pub fn level(number: f32) -> u16 {
    (number * LEVELS_PER_UNIT + ZERO_LEVEL).round_ties_even() as u16
}

impl Trellis {
    /// An encoder for so many bits a weight.
    pub fn new(bits: u32, code: Code) -> Result<Self> {
        if !BITS.contains(&bits) {
            return Err(Error::invalid("bits", format_args!("{bits} is not from 2 to 6")));
        }
        let unit = code.codebook.unit();
        let levels = (0..=code.window_mask()).map(|window| level(code.number(window as u16) as f32 * unit)).collect();
        let farthest = level(code.codebook.offset() as f32 * unit) + (MARGIN >> (bits - 2));
        let reach = (u16::MAX - farthest + 1, farthest);
        Ok(Self { bits, code, seam_weights: SEAM_WEIGHTS, levels, reach, step: step_for(bits) })
    }

    /// With so many weights on each side of the seam, from 1 to half of all.
    pub fn with_seam_weights(mut self, weights: usize) -> Self {
        self.seam_weights = weights.clamp(1, TILE_WEIGHTS / 2);
        self
    }

    /// Bits a weight.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// From windows to numbers.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What each window stands for, as [`level`] counts.
    pub fn levels(&self) -> &[u16] {
        &self.levels
    }

    /// Weights on each side of the seam that are encoded to find its bits.
    pub fn seam_weights(&self) -> usize {
        self.seam_weights
    }

    /// Numbers with their rows' scales taken away as the encoder counts, none so far away that all windows cost the same.
    pub fn targets(&self, numbers: &[f32; TILE_WEIGHTS]) -> [u16; TILE_WEIGHTS] {
        numbers.map(|number| level(number).clamp(self.reach.0, self.reach.1))
    }

    /// The ring for 256 numbers with their rows' scales taken away, in the order of the tile.
    pub fn encode(&self, numbers: &[f32; TILE_WEIGHTS], scratch: &mut Scratch, ring: &mut [u8]) {
        self.encode_targets(&self.targets(numbers), scratch, ring);
    }

    /// The ring for 256 [targets](Self::targets).
    pub fn encode_targets(&self, targets: &[u16; TILE_WEIGHTS], scratch: &mut Scratch, ring: &mut [u8]) {
        let shared = self.seam(targets, scratch);
        let windows = self.between(targets, shared, scratch);
        self.write(&windows, ring);
    }

    /// The bits that the windows on both sides of the seam share.
    fn seam(&self, targets: &[u16; TILE_WEIGHTS], scratch: &mut Scratch) -> usize {
        let half = self.seam_weights;
        let rolled = targets[TILE_WEIGHTS - half..].iter().chain(&targets[..half]).copied();
        self.recur(rolled.collect::<Vec<_>>().as_slice(), None, scratch);
        let first = least(scratch.costs[0].iter().copied().enumerate());
        let first_behind = (0..half).fold(first, |window, at| self.next(window, at, scratch));
        first_behind & (self.groups() - 1)
    }

    /// The best windows of a ring whose seam is given.
    fn between(&self, targets: &[u16; TILE_WEIGHTS], shared: usize, scratch: &mut Scratch) -> [usize; TILE_WEIGHTS] {
        self.recur(targets, Some(shared), scratch);
        let firsts = scratch.costs[0].iter().copied().enumerate().skip(shared).step_by(self.groups());
        let mut window = least(firsts);
        let mut windows = [0; TILE_WEIGHTS];
        for (at, out) in windows.iter_mut().enumerate() {
            *out = window;
            window = self.next(window, at, scratch);
        }
        windows
    }

    /// The costs of all windows of the first weight, if what follows each is the best, into `costs[0]`. With `shared`
    /// the last window continues in these bits.
    fn recur(&self, targets: &[u16], shared: Option<usize>, scratch: &mut Scratch) {
        let groups = self.groups();
        scratch.choices.resize(groups * TILE_WEIGHTS, 0);
        for costs in &mut scratch.costs {
            costs.clear();
            costs.resize(self.levels.len(), 0);
        }
        let Scratch { costs: [from, to], choices } = scratch;
        if let Some(shared) = shared {
            from.fill(u16::MAX);
            from.iter_mut().skip(shared).step_by(groups).for_each(|cost| *cost = 0);
        }
        let mut floor = 0;
        for (target, choices) in targets.iter().zip(choices.chunks_exact_mut(groups)).rev() {
            let (levels, target) = (&self.levels, *target);
            floor = (self.step)(Step { from, to, choices, levels, target, floor });
            std::mem::swap(from, to);
        }
    }

    /// Windows that share all but their lowest bits.
    fn groups(&self) -> usize {
        self.levels.len() >> self.bits
    }

    /// The best window of weight `at + 1` behind one of weight `at`.
    fn next(&self, window: usize, at: usize, scratch: &Scratch) -> usize {
        let group = window >> self.bits;
        let new = usize::from(scratch.choices[at * self.groups() + group]);
        new * self.groups() + group
    }

    /// The lowest bits of each window, one behind the other.
    fn write(&self, windows: &[usize; TILE_WEIGHTS], ring: &mut [u8]) {
        let ring = &mut ring[..tile_bytes(self.bits)];
        let (mut held, mut held_bits) = (0u32, 0);
        let mut bytes = ring.iter_mut();
        for window in windows {
            held |= (*window as u32 & ((1 << self.bits) - 1)) << held_bits;
            held_bits += self.bits;
            while held_bits >= 8 {
                if let Some(byte) = bytes.next() {
                    *byte = held as u8;
                }
                held >>= 8;
                held_bits -= 8;
            }
        }
    }
}

/// The number of the least cost, the first of equals.
fn least(costs: impl Iterator<Item = (usize, u16)>) -> usize {
    costs.min_by_key(|(window, cost)| (*cost, *window)).map_or(0, |(window, _)| window)
}
