//! How likely a model finds a text.

use super::Session;
use crate::{Error, Result, model::PlanIndex};

/// The likelihood of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Tokens that were predicted.
    pub tokens: u64,
    /// Sum of their negative log-likelihoods, in nats.
    pub nll_sum: f64,
}

impl Score {
    /// Mean negative log-likelihood, in nats a token.
    pub fn nll_mean(&self) -> f64 {
        self.nll_sum / self.tokens as f64
    }

    /// Perplexity: the exponential of the mean.
    pub fn perplexity(&self) -> f64 {
        self.nll_mean().exp()
    }
}

impl Session {
    /// Logits of every position of a text: (tokens, vocabulary). The session must have been loaded for scoring.
    pub async fn logits(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        if !self.can_score() {
            return Err(Error::invalid("scoring", "was not asked for when the model was loaded"));
        }
        self.clear();
        let batch_max = self.model.program.plans[PlanIndex::Score as usize].tokens_max as usize;
        let mut logits = Vec::with_capacity(ids.len() * self.model.config.vocab_size as usize);
        for batch in ids.chunks(batch_max) {
            self.step(PlanIndex::Score, batch, &|| false).await?;
            logits.extend(self.read_logits(batch.len()).await?);
        }
        Ok(logits)
    }

    /// Scores every token after the first, given those before it.
    pub async fn score(&mut self, ids: &[u32]) -> Result<Score> {
        let vocab = self.model.config.vocab_size as usize;
        let logits = self.logits(&ids[..ids.len().saturating_sub(1)]).await?;
        let mut score = Score::default();
        for (logits, next) in logits.chunks_exact(vocab).zip(ids.iter().skip(1)) {
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
            score.nll_sum += sum.ln() + f64::from(highest) - f64::from(logits[*next as usize]);
            score.tokens += 1;
        }
        Ok(score)
    }
}
