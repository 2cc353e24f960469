//! The choice of the next token.

use crate::{
    Error, Result,
    kernel::order_of,
    model::{SHORTLIST_TOKENS_MAX, SHORTLIST_TOKENS_MIN},
    protocol::Sampling,
};

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
        self.candidates.clear();
        self.candidates.extend(logits.iter().enumerate().map(|(token, logit)| (token as u32, *logit)));
        self.shortlist();
        Ok(self.draw())
    }

    /// The settings.
    pub(super) fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// How many of the likeliest tokens it chooses from, if a short list holds as many for sure. A penalty below 1 would
    /// make tokens likelier that are not on it.
    pub(super) fn shortlist_tokens(&self) -> Option<usize> {
        let wanted = if self.sampling.temperature == 0.0 { 1 } else { self.sampling.top_k };
        let suits = (1..=SHORTLIST_TOKENS_MIN).contains(&wanted) && self.sampling.repetition_penalty >= 1.0;
        suits.then_some(wanted as usize)
    }

    /// The next token after `history`, the same as [`Self::next`] would choose from all logits. None if the candidates
    /// leave a doubt; then nothing has changed.
    pub(super) fn next_of(&mut self, candidates: Candidates, history: &[u32]) -> Result<Option<u32>> {
        let Some(wanted) = self.shortlist_tokens() else { return Ok(None) };
        let Candidates { mut listed, threshold, all } = candidates;
        if !all {
            return Ok(None);
        }
        if let Some((token, _)) = listed.iter().filter(|(_, logit)| logit.is_nan()).min_by_key(|(token, _)| *token) {
            return Err(Error::DeviceFault { reason: format!("the logit of token {token} is not a number") });
        }
        listed.sort_unstable_by_key(|(token, _)| *token);
        let penalty = self.sampling.repetition_penalty;
        let seen = listed.iter_mut().filter(|(token, _)| penalty != 1.0 && history.contains(token));
        for (_, logit) in seen {
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
        // What is not listed is below the threshold, and no penalty lifts it.
        let sure = listed.iter().filter(|(_, logit)| order_of(*logit) >= threshold).count();
        if sure < wanted && threshold > 0 {
            return Ok(None);
        }
        if self.sampling.temperature == 0.0 {
            let mut best: Option<(u32, f32)> = None;
            for (token, logit) in listed {
                if best.is_none_or(|(_, highest)| logit > highest) {
                    best = Some((token, logit));
                }
            }
            return Ok(best.map(|(token, _)| token));
        }
        self.candidates = listed;
        self.shortlist();
        Ok(Some(self.draw()))
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
    fn shortlist(&mut self) {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let candidates = &mut self.candidates;
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

/// Tokens that a device found to be the likeliest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidates {
    /// With their logits, in any order.
    listed: Vec<(u32, f32)>,
    /// The order of every other token's logit is below it.
    threshold: u32,
    /// Whether the list had room for all that reached the threshold.
    all: bool,
}

impl Candidates {
    /// From what [`Shortlist`](crate::kernel::Shortlist) leaves.
    pub(super) fn read(list: &[f32]) -> Self {
        let (head, entries) = list.split_at(list.len().min(2));
        let [count, threshold] = [0, 1].map(|index| head.get(index).map_or(0, |value| value.to_bits()));
        let listed = entries.chunks_exact(2).take(count as usize).map(|entry| (entry[0].to_bits(), entry[1]));
        Self { listed: listed.collect(), threshold, all: (1..=SHORTLIST_TOKENS_MAX).contains(&count) }
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

    /// What a device makes of logits.
    fn candidates(logits: &[f32]) -> Candidates {
        use crate::kernel::{PEAKS, Peaks, Shortlist, shader};
        let columns = logits.len() as u32;
        let [x, peaks, list] = [0, 1, 2].map(crate::tensor::TensorId);
        let mut found = vec![0.0; 2 * PEAKS as usize];
        Peaks { x, peaks, list, params: shader::peaks::Params { columns } }.twin(logits, &mut found);
        let (wanted, entries_max) = (SHORTLIST_TOKENS_MIN, SHORTLIST_TOKENS_MAX);
        let params = shader::shortlist::Params { columns, wanted, entries_max };
        let mut listed = vec![0.0; 2 + 2 * entries_max as usize];
        Shortlist { x, peaks, list, params }.twin(logits, &found, &mut listed);
        Candidates::read(&listed)
    }

    #[test]
    fn a_short_list_gives_the_same_tokens_or_none() {
        let mut random = Pcg32::new(5);
        let mut decided = 0;
        for round in 0..300 {
            let count = [3, 64, 1000, 5000][round % 4];
            // Few different values make many equals, at the threshold too.
            let steps = [7.0, 400.0, 1e6][round % 3];
            let mut number = || (random.unit() * steps).floor() / steps * 12.0 - 6.0;
            let logits: Vec<f32> = (0..count).map(|_| number()).collect();
            let history: Vec<u32> = (0..40).map(|nth| nth * 13 % count as u32).collect();
            for (temperature, repetition_penalty) in [(0.0, 1.0), (0.0, 1.3), (0.7, 1.0), (0.7, 1.1), (5.0, 2.0)] {
                let sampling =
                    Sampling { temperature, repetition_penalty, seed: Some(round as u32), ..Sampling::default() };
                let mut whole = sampler(sampling);
                let mut short = whole.clone();
                let expected = whole.next(&mut logits.clone(), &history).unwrap();
                let found = short.next_of(candidates(&logits), &history).unwrap();
                assert!(found.is_none_or(|found| found == expected), "{sampling:?}: {found:?}, not {expected}");
                if found.is_some() {
                    decided += 1;
                    assert_eq!(short.random.next(), whole.random.next(), "the same number of draws");
                }
            }
        }
        assert!(decided > 500, "{decided} of 1500 were decided");
    }

    #[test]
    fn a_short_list_shows_what_is_no_number_and_refuses_what_it_cannot_know() {
        let mut logits: Vec<f32> = (0..3000).map(|token| token as f32 * 1e-3).collect();
        logits[5] = f32::NAN;
        for sampling in [Sampling::greedy(), Sampling::default()] {
            assert!(sampler(sampling).next_of(candidates(&logits), &[]).is_err());
            // All are as likely as the last one on the list.
            assert_eq!(sampler(sampling).next_of(candidates(&[0.5; 3000]), &[]), Ok(None));
        }
        logits[5] = 0.5;
        assert_eq!(sampler(Sampling::greedy()).next_of(candidates(&logits), &[]), Ok(Some(2999)));
        for sampling in [everything(), Sampling { top_k: SHORTLIST_TOKENS_MIN + 1, ..Sampling::default() }] {
            assert_eq!(sampler(sampling).next_of(candidates(&logits), &[]), Ok(None), "{sampling:?}");
        }
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
