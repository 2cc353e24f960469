//! From what was measured to what is told.

use std::collections::BTreeMap;

use super::spread::median;
use crate::{
    device::Timed,
    protocol::{BenchStage, DecodeResult, KernelTime, PlanProfile, PrefillResult, Spread},
};

/// Everything that was measured with a clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Bytes a second, read and written.
    pub copy: Spread,
    /// Bytes a second, read.
    pub read: Spread,
    /// Prompts.
    pub prefill: Vec<PrefillResult>,
    /// Decodings.
    pub decode: Vec<DecodeResult>,
}

impl Measured {
    /// The speed against which decoding is held: the faster of the two, so that no fraction flatters.
    pub fn bandwidth_bytes_per_s(&self) -> f64 {
        self.copy.median.max(self.read.median)
    }

    /// Fills in what part of the bandwidth each decoding reached.
    pub fn fill_fractions(&mut self) {
        let bandwidth = self.bandwidth_bytes_per_s();
        for result in &mut self.decode {
            let moved = result.bytes_per_token as f64 * result.tokens_per_s.median;
            result.roofline_fraction = if bandwidth > 0.0 { moved / bandwidth } else { 0.0 };
        }
    }
}

/// The figures that stand for all: of the longest prompt of at most 512 tokens, or else of the shortest; and of the
/// shallowest decoding.
pub fn headline(measured: &Measured) -> (Option<&PrefillResult>, Option<&DecodeResult>) {
    const PROMPT_TOKENS_MAX: u32 = 512;
    let prompts = || measured.prefill.iter();
    let usual = prompts().filter(|result| result.prompt_tokens <= PROMPT_TOKENS_MAX);
    let prefill = usual.max_by_key(|result| result.prompt_tokens);
    let prefill = prefill.or_else(|| prompts().min_by_key(|result| result.prompt_tokens));
    (prefill, measured.decode.iter().min_by_key(|result| result.depth_tokens))
}

/// The commands of some steps of one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanTimes {
    /// Prefill or decode.
    pub stage: BenchStage,
    /// Tokens in the cache before it.
    pub depth_tokens: u32,
    /// Tokens of each step.
    pub tokens: u32,
    /// The commands of each step, in order.
    pub steps: Vec<Vec<Timed>>,
}

/// Sums up by kernel: of each the median over the steps.
pub fn profile_of(times: &PlanTimes) -> PlanProfile {
    let mut sums: BTreeMap<&'static str, (u32, Vec<f64>)> = BTreeMap::new();
    for (index, step) in times.steps.iter().enumerate() {
        for timed in step {
            let (count, sums_ms) = sums.entry(timed.kernel.name()).or_default();
            sums_ms.resize(times.steps.len(), 0.0);
            *count += u32::from(index == 0);
            sums_ms[index] += timed.ms;
        }
    }
    let middle = |(kernel, (count, ms)): (&str, (u32, Vec<f64>))| (kernel.to_owned(), count, median(&ms));
    let mut kernels: Vec<(String, u32, f64)> = sums.into_iter().map(middle).collect();
    kernels.sort_by(|a, b| b.2.total_cmp(&a.2));
    let total_ms: f64 = kernels.iter().map(|(_, _, ms)| ms).sum();
    let fraction = |ms: f64| if total_ms > 0.0 { ms / total_ms } else { 0.0 };
    let kernels =
        kernels.into_iter().map(|(kernel, count, ms)| KernelTime { kernel, count, ms, fraction: fraction(ms) });
    PlanProfile {
        stage: times.stage,
        depth_tokens: times.depth_tokens,
        tokens: times.tokens,
        total_ms,
        kernels: kernels.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::spread, kernel::shader::Kernel};

    fn prefill(prompt_tokens: u32) -> PrefillResult {
        PrefillResult { prompt_tokens, tokens_per_s: Spread::default() }
    }

    fn decode(depth_tokens: u32, bytes_per_token: u64, tokens_per_s: f64) -> DecodeResult {
        let tokens_per_s = spread(vec![tokens_per_s]);
        DecodeResult { depth_tokens, decode_tokens: 8, tokens_per_s, bytes_per_token, roofline_fraction: 0.0 }
    }

    #[test]
    fn a_fraction_is_that_of_the_faster_of_copying_and_reading() {
        let mut measured = Measured {
            copy: spread(vec![800.0]),
            read: spread(vec![1000.0]),
            decode: vec![decode(0, 50, 10.0), decode(64, 75, 8.0)],
            ..Measured::default()
        };
        measured.fill_fractions();
        assert_eq!(measured.decode[0].roofline_fraction, 0.5);
        assert_eq!(measured.decode[1].roofline_fraction, 0.6);
    }

    #[test]
    fn one_prompt_and_one_depth_stand_for_all() {
        let of = |prompts: &[u32]| {
            let prefill = prompts.iter().map(|tokens| prefill(*tokens)).collect();
            let measured = Measured { prefill, ..Measured::default() };
            headline(&measured).0.map(|result| result.prompt_tokens)
        };
        assert_eq!(of(&[128, 512, 2048]), Some(512));
        assert_eq!(of(&[4096, 1024]), Some(1024));
        assert_eq!(of(&[]), None);
        let measured = Measured { decode: vec![decode(64, 1, 1.0), decode(0, 1, 2.0)], ..Measured::default() };
        assert_eq!(headline(&measured).1.map(|result| result.depth_tokens), Some(0));
    }

    #[test]
    fn the_kernels_of_a_step_are_summed_and_the_steps_are_not() {
        let step = |matvec: f64, scale: f64| {
            let timed = |kernel, ms| Timed { kernel, ms };
            vec![timed(Kernel::Matvec, matvec), timed(Kernel::Scale, scale), timed(Kernel::Matvec, matvec)]
        };
        let steps = vec![step(1.0, 1.0), step(2.0, 1.0), step(40.0, 1.0)];
        let profile = profile_of(&PlanTimes { stage: BenchStage::Decode, depth_tokens: 3, tokens: 1, steps });
        let told: Vec<(&str, u32, f64, f64)> =
            profile.kernels.iter().map(|time| (time.kernel.as_str(), time.count, time.ms, time.fraction)).collect();
        assert_eq!(told, [("matvec", 2, 4.0, 0.8), ("scale", 1, 1.0, 0.2)]);
        assert_eq!(profile.total_ms, 5.0);
    }
}
