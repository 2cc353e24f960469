//! The choice of the next token.

use crate::{Error, Result, protocol::Sampling};

/// Chooses tokens from logits. The steps apply in the order of [`Sampling`]'s fields.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: Pcg32,
    /// Candidates of the step, kept between steps for its memory: token and logit, then token and probability.
    candidates: Vec<(u32, f32)>,
}

impl Sampler {
    /// Checks the settings. `seed` is used if they name none.
    pub fn new(sampling: Sampling, seed: u32) -> Result<Self> {
        let Sampling { repetition_penalty, temperature, top_p, min_p, .. } = sampling;
        let within = |field: &str, value: f32, from: f32, to: f32| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            Err(Error::invalid(field, format!("is {value}, but must lie between {from} and {to}")))
        };
        within("repetition_penalty", repetition_penalty, 0.01, 100.0)?;
        within("temperature", temperature, 0.0, 100.0)?;
        within("top_p", top_p, 0.0, 1.0)?;
        within("min_p", min_p, 0.0, 1.0)?;
        Ok(Self { sampling, random: Pcg32::new(sampling.seed.unwrap_or(seed)), candidates: Vec::new() })
    }

    /// The next token after `history`.
    pub fn next(&mut self, logits: &mut [f32], history: &[u32]) -> Result<u32> {
        self.penalize(logits, history);
        if self.sampling.temperature == 0.0 {
            return greedy(logits);
        }
        greedy(logits)?;
        self.shortlist(logits);
        Ok(self.draw())
    }

    /// Makes tokens that came before less likely (Keskar et al. 2019, section 4.1).
    fn penalize(&self, logits: &mut [f32], history: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let mut seen: Vec<u32> = history.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for token in seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// Leaves the candidates that top-k, top-p and min-p allow, the likeliest first, with their probabilities.
    fn shortlist(&mut self, logits: &[f32]) {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let candidates = &mut self.candidates;
        candidates.clear();
        candidates.extend(logits.iter().enumerate().map(|(token, logit)| (token as u32, *logit)));
        // The same order for equal logits on every device.
        let likelier = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let k = if top_k == 0 { candidates.len() } else { (top_k as usize).min(candidates.len()) };
        if k < candidates.len() {
            candidates.select_nth_unstable_by(k, likelier);
            candidates.truncate(k);
        }
        candidates.sort_unstable_by(likelier);
        let highest = candidates[0].1;
        let mut total = 0.0;
        for (_, value) in candidates.iter_mut() {
            *value = ((*value - highest) / temperature).exp();
            total += *value;
        }
        let mut sum = 0.0;
        // The first always stays: with it the sum cannot have been reached before.
        let kept = candidates.iter().take_while(|(_, weight)| {
            let reached = sum >= top_p * total && sum > 0.0;
            sum += weight;
            !reached && *weight >= min_p
        });
        let kept = kept.count().max(1);
        candidates.truncate(kept);
    }

    fn draw(&mut self) -> u32 {
        let total: f32 = self.candidates.iter().map(|(_, weight)| weight).sum();
        let mut rest = self.random.unit() * total;
        for (token, weight) in &self.candidates {
            rest -= weight;
            if rest < 0.0 {
                return *token;
            }
        }
        // Rounding may leave a crumb; the likeliest is never wrong.
        self.candidates[0].0
    }
}

/// The likeliest token; the first of equals.
fn greedy(logits: &[f32]) -> Result<u32> {
    let mut best: Option<(usize, f32)> = None;
    for (token, logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return Err(Error::DeviceFault { reason: format!("the logit of token {token} is not a number") });
        }
        if best.is_none_or(|(_, highest)| *logit > highest) {
            best = Some((token, *logit));
        }
    }
    best.map(|(token, _)| token as u32).ok_or_else(|| Error::DeviceFault { reason: "there are no logits".into() })
}

/// PCG-XSH-RR 64/32 (O'Neill 2014, section 6.3): small, and the same on every platform.
#[derive(Clone, Debug)]
struct Pcg32 {
    state: u64,
}

impl Pcg32 {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    const INCREMENT: u64 = 1_442_695_040_888_963_407;

    fn new(seed: u32) -> Self {
        let mut random = Self { state: u64::from(seed).wrapping_add(Self::INCREMENT) };
        random.next();
        random
    }

    fn next(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(Self::MULTIPLIER).wrapping_add(Self::INCREMENT);
        let shifted = (((old >> 18) ^ old) >> 27) as u32;
        shifted.rotate_right((old >> 59) as u32)
    }

    /// From 0 up to, but not, 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 8) as f32 / (1 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(sampling: Sampling) -> Sampler {
        Sampler::new(sampling, 1).unwrap()
    }

    fn everything() -> Sampling {
        Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() }
    }

    fn shares(sampling: Sampling, logits: &[f32]) -> Vec<f32> {
        let mut sampler = sampler(sampling);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampler.next(&mut logits.to_vec(), &[]).unwrap() as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        let mut sampler = sampler(Sampling::greedy());
        assert_eq!(sampler.next(&mut [0.0, 3.0, 3.0, -1.0], &[]), Ok(1));
        assert!(sampler.next(&mut [0.0, f32::NAN], &[]).is_err());
        assert!(sampler.next(&mut [], &[]).is_err());
    }

    #[test]
    fn without_limits_tokens_come_as_often_as_they_are_likely() {
        let probabilities = [0.5_f32, 0.3, 0.15, 0.05];
        let logits: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
        for (share, probability) in shares(everything(), &logits).iter().zip(probabilities) {
            assert!((share - probability).abs() < 0.015, "{share} for {probability}");
        }
        // Temperature 1/2 squares the odds: 0.25 : 0.09 : 0.0225 : 0.0025.
        let cold = shares(Sampling { temperature: 0.5, ..everything() }, &logits);
        assert!((cold[0] - 0.685).abs() < 0.015, "{cold:?}");
    }

    #[test]
    fn limits_leave_the_likeliest() {
        let logits: Vec<f32> = [0.5_f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let kept = |sampling| shares(sampling, &logits).iter().filter(|share| **share > 0.0).count();
        assert_eq!(kept(Sampling { top_k: 2, ..everything() }), 2);
        assert_eq!(kept(Sampling { top_p: 0.5, ..everything() }), 1);
        assert_eq!(kept(Sampling { top_p: 0.6, ..everything() }), 2);
        assert_eq!(kept(Sampling { top_p: 0.0, ..everything() }), 1);
        assert_eq!(kept(Sampling { min_p: 0.25, ..everything() }), 3);
        assert_eq!(kept(Sampling { min_p: 1.0, ..everything() }), 1);
    }

    #[test]
    fn the_penalty_turns_away_from_what_was_said() {
        let mut sampler = sampler(Sampling { repetition_penalty: 2.0, ..Sampling::greedy() });
        assert_eq!(sampler.next(&mut [4.0, 3.0, -1.0], &[0, 0]), Ok(1));
        assert_eq!(sampler.next(&mut [-1.0, -1.5, -9.0], &[0]), Ok(1));
    }

    #[test]
    fn a_seed_repeats_itself_and_impossible_settings_are_refused() {
        let draw = |seed| {
            let mut sampler = sampler(Sampling { seed: Some(seed), ..everything() });
            (0..32).map(|_| sampler.next(&mut [0.0; 64], &[]).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        for sampling in [
            Sampling { temperature: -1.0, ..everything() },
            Sampling { temperature: f32::NAN, ..everything() },
            Sampling { top_p: 1.5, ..everything() },
            Sampling { min_p: -0.1, ..everything() },
            Sampling { repetition_penalty: 0.0, ..everything() },
        ] {
            assert!(Sampler::new(sampling, 1).is_err(), "{sampling:?}");
        }
    }
}
