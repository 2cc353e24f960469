//! Random numbers to compute with, and measures of how far two results are apart.

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// Between -1 and 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// Numbers of about the size of activations: the sum of three uniform ones.
    pub fn numbers(&mut self, count: u64) -> Vec<f32> {
        (0..count).map(|_| self.unit() + self.unit() + self.unit()).collect()
    }
}

/// The largest difference of two results over the largest number of the second, which is the reference.
pub fn relative_difference(found: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(found.len(), reference.len());
    let scale = reference.iter().fold(0.0_f64, |scale, value| scale.max(f64::from(value.abs())));
    let worst = found.iter().zip(reference).fold(0.0_f64, |worst, (found, reference)| {
        let difference = f64::from(found - reference).abs();
        if difference.is_nan() { f64::INFINITY } else { worst.max(difference) }
    });
    worst / scale
}

/// The Kullback-Leibler divergence of the distribution that `found` logits stand for from that of the `reference`, in
/// nats.
pub fn kl_divergence(reference: &[f32], found: &[f32]) -> f64 {
    assert_eq!(found.len(), reference.len());
    let (p, q) = (log_softmax(reference), log_softmax(found));
    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().fold(f64::NEG_INFINITY, |highest, logit| highest.max(f64::from(*logit)));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - highest).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - highest - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_seen() {
        assert_eq!(relative_difference(&[1.0, 2.0], &[1.0, 4.0]), 0.5);
        assert_eq!(relative_difference(&[1.0, f32::NAN], &[1.0, 4.0]), f64::INFINITY);
    }

    #[test]
    fn divergence_is_that_of_the_definition() {
        let logits = |p: &[f32]| p.iter().map(|p| p.ln() + 3.0).collect::<Vec<_>>();
        let expected = 0.5 * (0.5_f64 / 0.25).ln() + 0.5 * (0.5_f64 / 0.75).ln();
        assert!((kl_divergence(&logits(&[0.5, 0.5]), &logits(&[0.25, 0.75])) - expected).abs() < 1e-6);
        assert!(kl_divergence(&[1.0, 2.0], &[1.0, f32::NAN]).is_nan());
    }

    #[test]
    fn random_numbers_are_spread() {
        let numbers = Random::new(1).numbers(10_000);
        let mean: f32 = numbers.iter().sum::<f32>() / 1e4;
        let square: f32 = numbers.iter().map(|x| x * x).sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.05 && (square - 1.0).abs() < 0.05, "{mean} {square}");
    }
}
