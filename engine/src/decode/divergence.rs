//! How far one model's predictions lie from another's.

/// Predictions of one model beside those of a reference, over all positions that were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Divergence {
    /// Of each position: Kullback-Leibler divergence of the model from the reference, in nats.
    pub kl: Vec<f64>,
    /// Positions at which both find the same token likeliest.
    pub same_top: u64,
    /// Tokens whose likelihood is in the sums below: those that have a position in front of them.
    pub scored_tokens: u64,
    /// Sum of the model's negative log-likelihoods, in nats.
    pub nll_sum: f64,
    /// The same of the reference.
    pub reference_nll_sum: f64,
    /// Of those tokens, how many the model found likeliest.
    pub right_top: u64,
    /// The same of the reference.
    pub reference_right_top: u64,
}

impl Divergence {
    /// Adds the positions of a text: logits of both, (tokens, vocabulary), and the text's tokens.
    pub fn add(&mut self, reference: &[f32], model: &[f32], vocab: usize, ids: &[u32]) {
        let rows = reference.chunks_exact(vocab).zip(model.chunks_exact(vocab));
        for (nth, (reference, model)) in rows.enumerate() {
            let (reference_top, model_top) = (top(reference), top(model));
            self.same_top += u64::from(reference_top == model_top);
            let (reference, model) = (LogLikelihoods::of(reference), LogLikelihoods::of(model));
            self.kl.push(reference.divergence_of(&model));
            let Some(next) = ids.get(nth + 1).map(|id| *id as usize) else { continue };
            self.scored_tokens += 1;
            self.nll_sum -= model.at(next);
            self.reference_nll_sum -= reference.at(next);
            self.right_top += u64::from(model_top == next);
            self.reference_right_top += u64::from(reference_top == next);
        }
    }

    /// Mean divergence, in nats.
    pub fn kl_mean(&self) -> f64 {
        self.kl.iter().sum::<f64>() / self.kl.len().max(1) as f64
    }

    /// The divergence that so many of the positions do not pass, in nats; `share` lies between 0 and 1.
    pub fn kl_quantile(&self, share: f64) -> f64 {
        let mut sorted = self.kl.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = (share * (sorted.len().max(1) - 1) as f64).round() as usize;
        sorted.get(at).copied().unwrap_or(0.0)
    }

    /// The share of positions at which both find the same token likeliest.
    pub fn top_agreement(&self) -> f64 {
        self.same_top as f64 / self.kl.len().max(1) as f64
    }

    /// The model's perplexity.
    pub fn perplexity(&self) -> f64 {
        (self.nll_sum / self.scored_tokens.max(1) as f64).exp()
    }

    /// The reference's perplexity.
    pub fn reference_perplexity(&self) -> f64 {
        (self.reference_nll_sum / self.scored_tokens.max(1) as f64).exp()
    }

    /// The share of tokens that the model found likeliest.
    pub fn accuracy(&self) -> f64 {
        self.right_top as f64 / self.scored_tokens.max(1) as f64
    }

    /// The same of the reference.
    pub fn reference_accuracy(&self) -> f64 {
        self.reference_right_top as f64 / self.scored_tokens.max(1) as f64
    }
}

/// The likeliest token, the first of equals.
fn top(logits: &[f32]) -> usize {
    let better = |best: usize, nth: usize| if logits[nth] > logits[best] { nth } else { best };
    (1..logits.len()).fold(0, better)
}

/// Logits, and what makes likelihoods of them.
struct LogLikelihoods<'a> {
    logits: &'a [f32],
    /// The logarithm of the sum of their exponentials.
    log_sum: f64,
}

impl<'a> LogLikelihoods<'a> {
    fn of(logits: &'a [f32]) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        Self { logits, log_sum: sum.ln() + f64::from(highest) }
    }

    fn at(&self, token: usize) -> f64 {
        self.logits.get(token).map_or(f64::NEG_INFINITY, |logit| f64::from(*logit) - self.log_sum)
    }

    /// Of other likelihoods from these, in nats. A token that cannot come adds nothing.
    fn divergence_of(&self, other: &Self) -> f64 {
        let terms = self.logits.iter().zip(other.logits).map(|(own, other_logit)| {
            let own = f64::from(*own) - self.log_sum;
            if own == f64::NEG_INFINITY { 0.0 } else { own.exp() * (own - (f64::from(*other_logit) - other.log_sum)) }
        });
        // Rounding may leave it a hair below nothing.
        terms.sum::<f64>().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(likelihoods: &[f32]) -> Vec<f32> {
        // A constant more changes no likelihood.
        likelihoods.iter().map(|likelihood| likelihood.ln() + 3.5).collect()
    }

    #[test]
    fn divergence_and_likelihoods_follow_their_definitions() {
        let reference = [logits(&[0.5, 0.25, 0.25]), logits(&[0.125, 0.75, 0.125])].concat();
        let model = [logits(&[0.25, 0.25, 0.5]), logits(&[0.125, 0.75, 0.125])].concat();
        let mut found = Divergence::default();
        found.add(&reference, &model, 3, &[2, 0]);
        // 0.5 ln 2 - 0.25 ln 2, and nothing.
        assert!((found.kl[0] - 0.25 * 2f64.ln()).abs() < 1e-6 && found.kl[1] < 1e-6, "{found:?}");
        assert!((found.kl_mean() - 0.125 * 2f64.ln()).abs() < 1e-6);
        assert_eq!((found.kl_quantile(0.0), found.kl_quantile(1.0)), (found.kl[1], found.kl[0]));
        assert!((found.top_agreement() - 0.5).abs() < 1e-12);
        // The second token is 0, which the reference gave a half, and the model a quarter.
        assert_eq!(found.scored_tokens, 1);
        assert!((found.perplexity() - 4.0).abs() < 1e-5 && (found.reference_perplexity() - 2.0).abs() < 1e-5);
        assert_eq!((found.right_top, found.reference_right_top), (0, 1));
    }

    #[test]
    fn what_cannot_come_in_the_reference_counts_for_nothing() {
        let mut found = Divergence::default();
        found.add(&[0.0, f32::NEG_INFINITY], &[0.0, 0.0], 2, &[0]);
        assert!((found.kl_mean() - 2f64.ln()).abs() < 1e-12, "{found:?}");
    }
}
