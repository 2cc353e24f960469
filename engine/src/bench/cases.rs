//! What is asked for, and what of it can be measured.

use crate::{
    Error, Result,
    protocol::{BenchRequest, BenchStage, SkippedCase},
};

/// Of the first prompt after a start.
pub const FIRST_PROMPT_TOKENS: u32 = 32;

/// More than anyone would wait for.
const REPEATS_MAX: u32 = 1000;
const LENGTHS_MAX: usize = 64;
const TOKENS_MAX: u32 = 1 << 24;

/// A length of prompt, or of cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Prefill or decode.
    pub stage: BenchStage,
    /// Tokens of the prompt, or in the cache.
    pub tokens: u32,
}

/// Everything that is to be measured, and what is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// In the order that was asked for, prompts first.
    pub cases: Vec<Case>,
    /// New tokens of each decoding.
    pub decode_tokens: u32,
    /// How often each is measured.
    pub repeats: u32,
    /// After so long no further repeat begins.
    pub case_ms_max: f64,
    /// What fell away.
    pub skipped: Vec<SkippedCase>,
}

impl Cases {
    /// Checks a request and fills in what it leaves open.
    pub fn of(request: &BenchRequest) -> Result<Self> {
        let decode_tokens = within("decode_tokens", request.decode_tokens.unwrap_or(64), 2, TOKENS_MAX)?;
        let repeats = within("repeats", request.repeats.unwrap_or(5), 1, REPEATS_MAX)?;
        let case_ms_max = request.case_ms_max.unwrap_or(60_000.0);
        if !(case_ms_max.is_finite() && case_ms_max >= 0.0) {
            return Err(Error::invalid("case_ms_max", format!("is {case_ms_max}, but must be 0 or more")));
        }
        let prompts = request.prefill_tokens.as_deref().unwrap_or(&[128, 512, 2048]);
        let depths = request.depth_tokens.as_deref().unwrap_or(&[0, 2048, 8192]);
        let mut cases = Vec::new();
        for (field, stage, least, tokens) in
            [("prefill_tokens", BenchStage::Prefill, 1, prompts), ("depth_tokens", BenchStage::Decode, 0, depths)]
        {
            if tokens.len() > LENGTHS_MAX {
                return Err(Error::invalid(field, format!("are {} lengths; at most {LENGTHS_MAX}", tokens.len())));
            }
            for tokens in tokens {
                cases.push(Case { stage, tokens: within(field, *tokens, least, TOKENS_MAX)? });
            }
        }
        if cases.is_empty() {
            return Err(Error::invalid(
                "prefill_tokens and depth_tokens",
                "are both empty: there is nothing to measure",
            ));
        }
        Ok(Self { cases, decode_tokens, repeats, case_ms_max, skipped: Vec::new() })
    }

    /// Positions that a case fills.
    fn needs(&self, case: Case) -> u32 {
        case.tokens + if case.stage == BenchStage::Decode { self.decode_tokens } else { 0 }
    }

    /// Positions that the longest case fills.
    pub fn context_tokens(&self) -> u32 {
        self.cases.iter().map(|case| self.needs(*case)).max().unwrap_or(0).max(FIRST_PROMPT_TOKENS)
    }

    /// Lets go of what fills more than so many positions. False if nothing is left.
    pub fn skip_beyond(&mut self, context_tokens: u32, reason: &str) -> bool {
        let cases = std::mem::take(&mut self.cases);
        for case in cases {
            if self.needs(case) <= context_tokens {
                self.cases.push(case);
            } else {
                let needed = self.needs(case);
                let reason = format!("it needs {needed} tokens of context: {reason}");
                self.skipped.push(SkippedCase { stage: case.stage, tokens: case.tokens, reason });
            }
        }
        !self.cases.is_empty()
    }

    /// Lets go of what is longest. False if nothing is left.
    pub fn skip_longest(&mut self, reason: &str) -> bool {
        let longest = self.cases.iter().map(|case| self.needs(*case)).max().unwrap_or(0);
        self.skip_beyond(longest.saturating_sub(1), reason)
    }
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<u32> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid(field, format!("is {value}, but must lie between {least} and {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(cases: &Cases, stage: BenchStage) -> Vec<u32> {
        cases.cases.iter().filter(|case| case.stage == stage).map(|case| case.tokens).collect()
    }

    #[test]
    fn what_is_left_open_is_what_the_documentation_names() {
        let cases = Cases::of(&BenchRequest::default()).unwrap();
        assert_eq!(lengths(&cases, BenchStage::Prefill), [128, 512, 2048]);
        assert_eq!(lengths(&cases, BenchStage::Decode), [0, 2048, 8192]);
        assert_eq!((cases.decode_tokens, cases.repeats, cases.context_tokens()), (64, 5, 8192 + 64));
    }

    #[test]
    fn what_does_not_fit_falls_away_with_its_reason() {
        let mut cases = Cases::of(&BenchRequest::default()).unwrap();
        assert!(cases.skip_beyond(2048, "the model was made for 2048"));
        assert_eq!(lengths(&cases, BenchStage::Prefill), [128, 512, 2048]);
        assert_eq!(lengths(&cases, BenchStage::Decode), [0]);
        assert_eq!(cases.skipped[0].reason, "it needs 2112 tokens of context: the model was made for 2048");
        assert!(cases.skip_longest("no memory") && cases.skip_longest("no memory") && cases.skip_longest("no memory"));
        assert_eq!(lengths(&cases, BenchStage::Decode), [0]);
        assert!(!cases.skip_longest("no memory"));
        assert_eq!(cases.skipped.len(), 6);
    }

    #[test]
    fn requests_that_make_no_sense_are_refused_and_named() {
        let refused = |request| match Cases::of(&request) {
            Err(Error::InvalidRequest { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let default = BenchRequest::default;
        assert_eq!(refused(BenchRequest { decode_tokens: Some(1), ..default() }), "decode_tokens");
        assert_eq!(refused(BenchRequest { repeats: Some(0), ..default() }), "repeats");
        assert_eq!(refused(BenchRequest { prefill_tokens: Some(vec![0]), ..default() }), "prefill_tokens");
        assert_eq!(refused(BenchRequest { prefill_tokens: Some(vec![1; 65]), ..default() }), "prefill_tokens");
        assert_eq!(refused(BenchRequest { depth_tokens: Some(vec![u32::MAX]), ..default() }), "depth_tokens");
        assert_eq!(refused(BenchRequest { case_ms_max: Some(f64::NAN), ..default() }), "case_ms_max");
        let empty = BenchRequest { prefill_tokens: Some(vec![]), depth_tokens: Some(vec![]), ..default() };
        assert_eq!(refused(empty), "prefill_tokens and depth_tokens");
    }
}
