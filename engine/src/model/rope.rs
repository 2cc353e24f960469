//! How positions turn queries and keys: the frequencies, in float64.

use std::f64::consts::TAU;

use crate::{Error, Result, kernel::rope_table};

/// One way in which positions turn queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// The base of the frequencies.
    pub theta: f64,
    /// How many of a head's numbers turn.
    pub rotary: u32,
    /// Whether the pairs are neighbours rather than halves apart.
    pub interleaved: bool,
    /// How the frequencies were stretched for a longer context.
    pub scaling: RopeScaling,
    /// By how much queries and keys grow as they turn.
    pub attention_factor: f64,
}

/// A stretch of the frequencies.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// None.
    None,
    /// Every frequency divided by the factor (Chen et al. 2023).
    Linear {
        /// By how much.
        factor: f64,
    },
    /// Low frequencies divided by the factor, high ones kept, and those between blended (Llama 3.1).
    Llama3 {
        /// By how much.
        factor: f64,
        /// Turns in the original context below which a frequency counts as low.
        low: f64,
        /// Turns in the original context above which a frequency counts as high.
        high: f64,
        /// Tokens of the original context.
        original: f64,
    },
    /// The same with a ramp over the pairs (Peng et al. 2023, section 3.2).
    Yarn {
        /// By how much.
        factor: f64,
        /// Turns in the original context above which nothing is divided.
        fast: f64,
        /// Turns in the original context below which everything is.
        slow: f64,
        /// Tokens of the original context.
        original: f64,
        /// Whether the ramp begins and ends at whole pairs.
        truncate: bool,
    },
    /// Each frequency divided by its own factor (Ding et al. 2024): one set of factors for a context within the
    /// original one, another beyond it.
    Long {
        /// Within the original context. In a GGUF both sets are tensors, and empty here.
        short: Vec<f64>,
        /// Beyond it.
        long: Vec<f64>,
        /// Tokens of the original context.
        original: f64,
    },
}

impl RopeConfig {
    /// The names of the tensors in a GGUF that hold the factors of [`RopeScaling::Long`].
    pub const LONG_FACTORS: [&str; 2] = ["rope_factors_long.weight", "rope_factors_short.weight"];

    /// Whether a context of so many tokens is beyond the original one.
    pub fn is_long(&self, context: u32) -> bool {
        matches!(self.scaling, RopeScaling::Long { original, .. } if f64::from(context) > original)
    }

    /// The name of the tensor in a GGUF that holds factors for a context of so many tokens.
    pub fn factors_name(&self, context: u32) -> &'static str {
        match self.scaling {
            RopeScaling::Long { .. } => Self::LONG_FACTORS[usize::from(!self.is_long(context))],
            _ => "rope_freqs.weight",
        }
    }

    /// The angle by which each pair turns from one position to the next, in radians. `factors` from a file divide them
    /// further.
    pub fn frequencies(&self, context: u32, factors: Option<&[f32]>) -> Vec<f64> {
        let rotary = f64::from(self.rotary);
        let pairs = (0..self.rotary / 2).map(f64::from);
        let mut frequencies: Vec<f64> = pairs.map(|pair| self.theta.powf(-2.0 * pair / rotary)).collect();
        match &self.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => frequencies.iter_mut().for_each(|frequency| *frequency /= factor),
            RopeScaling::Llama3 { factor, low, high, original } => {
                for frequency in &mut frequencies {
                    let turns = original * *frequency / TAU;
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    *frequency *= kept + (1.0 - kept) / factor;
                }
            }
            RopeScaling::Yarn { factor, fast, slow, original, truncate } => {
                let pair_of = |turns: f64| rotary * (original / (turns * TAU)).ln() / (2.0 * self.theta.ln());
                let (mut first, mut last) = (pair_of(*fast), pair_of(*slow));
                if *truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                (first, last) = (first.max(0.0), last.min(rotary - 1.0));
                let width = if first == last { 0.001 } else { last - first };
                for (pair, frequency) in frequencies.iter_mut().enumerate() {
                    let divided = ((pair as f64 - first) / width).clamp(0.0, 1.0);
                    *frequency *= (1.0 - divided) + divided / factor;
                }
            }
            RopeScaling::Long { short, long, .. } => {
                let own = if self.is_long(context) { long } else { short };
                frequencies.iter_mut().zip(own).for_each(|(frequency, factor)| *frequency /= factor);
            }
        }
        for (frequency, factor) in frequencies.iter_mut().zip(factors.unwrap_or_default()) {
            *frequency /= f64::from(*factor);
        }
        frequencies
    }

    /// Cosines and sines for every position of a context; `factors` as in [`Self::frequencies`].
    pub fn table(&self, context: u32, factors: Option<&[f32]>) -> Result<Vec<f32>> {
        if factors.is_some_and(|factors| factors.iter().any(|factor| !(*factor > 0.0 && factor.is_finite()))) {
            return Err(Error::config("rope factors", "are not all above 0"));
        }
        Ok(rope_table(context, &self.frequencies(context, factors), self.attention_factor))
    }

    /// Refuses numbers that make no sense.
    pub(super) fn check(&self, head_dim: u32) -> Result<()> {
        let rotary = self.rotary;
        if rotary == 0 || rotary > head_dim || !rotary.is_multiple_of(2) {
            let reason = format!("are {rotary}, but must be an even number up to head_dim, which is {head_dim}");
            return Err(Error::config("rotary dimensions", reason));
        }
        if !(self.theta > 1.0 && self.theta.is_finite()) {
            return Err(Error::config("rope_theta", format!("is {}", self.theta)));
        }
        if let RopeScaling::Long { short, long, .. } = &self.scaling {
            for (field, factors) in [("short_factor", short), ("long_factor", long)] {
                if !factors.is_empty() && factors.len() != rotary as usize / 2 {
                    let reason = format!("has {} numbers, but {} pairs turn", factors.len(), rotary / 2);
                    return Err(Error::config(field, reason));
                }
            }
        }
        if let RopeScaling::Llama3 { original, .. }
        | RopeScaling::Yarn { original, .. }
        | RopeScaling::Long { original, .. } = self.scaling
            && !(original >= 1.0 && original.is_finite())
        {
            return Err(Error::config("original_max_position_embeddings", format!("is {original}")));
        }
        let all = [1, u32::MAX].into_iter().flat_map(|context| self.frequencies(context, None));
        let sound = |number: f64| number > 0.0 && number.is_finite();
        if !all.into_iter().all(sound) || !sound(self.attention_factor) {
            return Err(Error::config("rope_parameters", "give frequencies or a factor that are no positive numbers"));
        }
        Ok(())
    }
}

/// By how much yarn lets queries and keys grow (Peng et al. 2023, equation 22).
pub(super) fn yarn_attention_factor(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
}
