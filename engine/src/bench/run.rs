//! The runs themselves.

use super::{
    Case, Cases,
    cases::FIRST_PROMPT_TOKENS,
    report::{Measured, PlanTimes},
    spread::spread,
};
use crate::{
    Error, Result,
    decode::{Session, Sink},
    device::{Device, MemoryProbe, Timed, Traffic},
    file::BoxedFuture,
    model::PlanIndex,
    protocol::{BenchStage, Benching, DecodeResult, Loading, PrefillResult, Spread},
};

/// What a measurement needs of those who want it.
pub trait Host {
    /// Milliseconds since any fixed moment.
    fn now_ms(&self) -> f64;
    /// Whether to stop. Asked between tokens.
    fn is_stopped(&self) -> bool;
    /// Lets other work on this thread happen.
    fn pause(&self) -> BoxedFuture<'_, ()>;
    /// How far the weights are.
    fn loading(&mut self, loading: Loading);
    /// What is being measured.
    fn progress(&mut self, progress: Benching);
}

/// How much memory a probe moves at most, and twice that it takes: more than caches hold, and less than models take.
const PROBE_BYTES_MAX: u64 = 256 << 20;
/// And at least.
const PROBE_BYTES_MIN: u64 = 4 << 20;
/// A measurement of memory takes at least so long, so that starting it does not count.
const PROBE_MS_MIN: f64 = 20.0;
const PROBE_ROUNDS_MAX: u32 = 64;
const PROBE_SAMPLES: usize = 5;

/// Of a run that is not counted, which reads no more than one batch of a prompt.
const WARM_UP_DECODE_TOKENS: u32 = 8;

/// Steps whose times are taken apart.
const PROFILED_STEPS: usize = 5;

/// How far a measurement is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// When it began.
    pub started_ms: f64,
    /// Stages and lengths in all.
    pub total: u32,
    /// Done so far.
    pub done: u32,
}

/// Runs the cases of one measurement, one after the other.
pub struct Runner<'a> {
    /// Who wants them.
    pub host: &'a mut dyn Host,
    /// How far it is.
    pub plan: Plan,
    /// Makes the numbers of tokens.
    random: u32,
}

impl<'a> Runner<'a> {
    /// At the beginning.
    pub fn new(host: &'a mut dyn Host, cases: &Cases, profiles: bool) -> Self {
        let lengths = cases.cases.len() as u32 * if profiles { 2 } else { 1 };
        let plan = Plan { started_ms: host.now_ms(), total: lengths + 1, done: 0 };
        Self { host, plan, random: 1 }
    }

    fn tell(&mut self, stage: BenchStage, tokens: u32, [repeat, repeats]: [u32; 2]) -> Result<()> {
        let Plan { started_ms, total, done } = self.plan;
        let elapsed_ms = self.host.now_ms() - started_ms;
        self.host.progress(Benching { stage, tokens, repeat, repeats, done, total, elapsed_ms });
        if self.host.is_stopped() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// How fast a device copies and reads about as many bytes as a model has: what fits a cache is measured there.
    pub async fn bandwidth(&mut self, device: &mut Device, weights_bytes: u64) -> Result<[Spread; 2]> {
        self.tell(BenchStage::Bandwidth, 0, [0, 1])?;
        let mut probe = device.memory_probe(weights_bytes.clamp(PROBE_BYTES_MIN, PROBE_BYTES_MAX)).await?;
        // A copy reads each byte and writes it.
        let copy = self.moved(&mut probe, Traffic::Copy, 2.0).await?;
        let read = self.moved(&mut probe, Traffic::Read, 1.0).await?;
        self.plan.done += 1;
        Ok([copy, read])
    }

    async fn moved(&mut self, probe: &mut MemoryProbe, traffic: Traffic, times: f64) -> Result<Spread> {
        let mut rounds = 1;
        loop {
            let ms = self.move_once(probe, traffic, rounds).await?;
            if ms >= PROBE_MS_MIN || rounds >= PROBE_ROUNDS_MAX {
                break;
            }
            rounds *= 2;
        }
        let mut samples = Vec::with_capacity(PROBE_SAMPLES);
        for _ in 0..PROBE_SAMPLES {
            let ms = self.move_once(probe, traffic, rounds).await?;
            samples.push(per_second(probe.bytes() as f64 * f64::from(rounds) * times, ms));
        }
        Ok(spread(samples))
    }

    async fn move_once(&self, probe: &mut MemoryProbe, traffic: Traffic, rounds: u32) -> Result<f64> {
        if self.host.is_stopped() {
            return Err(Error::Cancelled);
        }
        let before_ms = self.host.now_ms();
        probe.run(traffic, rounds).await?;
        let ms = self.host.now_ms() - before_ms;
        self.host.pause().await;
        Ok(ms)
    }

    /// Milliseconds from a session that is ready to its first token.
    pub async fn first_inference_ms(&mut self, session: &mut Session) -> Result<f64> {
        let count = FIRST_PROMPT_TOKENS.min(session.context_tokens());
        session.clear();
        let ids = self.ids(session, count);
        let times = self.run_on(session, &ids, 1).await?;
        Ok(times[1] - times[0])
    }

    /// Measures every case.
    pub async fn cases(&mut self, session: &mut Session, cases: &Cases, measured: &mut Measured) -> Result<()> {
        if cases.cases.iter().any(|case| case.stage == BenchStage::Decode && case.tokens > 0) {
            let mut random = self.random;
            session.fill_caches(|| next(&mut random) as f32 / u32::MAX as f32 - 0.5).await?;
        }
        for case in &cases.cases {
            let tokens_per_s = self.case(session, cases, *case).await?;
            match case.stage {
                BenchStage::Prefill => {
                    measured.prefill.push(PrefillResult { prompt_tokens: case.tokens, tokens_per_s });
                }
                _ => measured.decode.push(DecodeResult {
                    depth_tokens: case.tokens,
                    decode_tokens: cases.decode_tokens,
                    // In the middle of the run the cache is longer by half of it.
                    bytes_per_token: super::bytes_per_token(session.model(), case.tokens + cases.decode_tokens / 2),
                    roofline_fraction: 0.0,
                    tokens_per_s,
                }),
            }
            self.plan.done += 1;
        }
        Ok(())
    }

    async fn case(&mut self, session: &mut Session, cases: &Cases, case: Case) -> Result<Spread> {
        self.tell(case.stage, case.tokens, [0, cases.repeats])?;
        self.once(session, case, cases.decode_tokens, true).await?;
        let started_ms = self.host.now_ms();
        let mut samples = Vec::new();
        for repeat in 1..=cases.repeats {
            if repeat > 1 && self.host.now_ms() - started_ms >= cases.case_ms_max {
                break;
            }
            self.tell(case.stage, case.tokens, [repeat, cases.repeats])?;
            samples.push(self.once(session, case, cases.decode_tokens, false).await?);
        }
        Ok(spread(samples))
    }

    /// Tokens a second, of one run.
    async fn once(&mut self, session: &mut Session, case: Case, decode_tokens: u32, is_short: bool) -> Result<f64> {
        session.clear();
        if case.stage == BenchStage::Prefill {
            let tokens = if is_short { case.tokens.min(session.prefill_tokens()) } else { case.tokens };
            let ids = self.ids(session, tokens);
            let times = self.run_on(session, &ids, 1).await?;
            return Ok(per_second(tokens.into(), times[1] - times[0]));
        }
        let count = if is_short { decode_tokens.min(WARM_UP_DECODE_TOKENS) } else { decode_tokens };
        let ids = self.ids(session, case.tokens + 1);
        session.assume_cached(ids[..case.tokens as usize].to_vec());
        let times = self.run_on(session, &ids, count).await?;
        Ok(per_second(f64::from(count - 1), times[count as usize] - times[1]))
    }

    /// The moment at which a run began, and those of its tokens.
    async fn run_on(&mut self, session: &mut Session, ids: &[u32], count: u32) -> Result<Vec<f64>> {
        let mut times = Times { host: &*self.host, at_ms: vec![self.host.now_ms()] };
        session.run_on(ids, count as usize, &mut times).await?;
        if times.at_ms.len() <= count as usize || times.host.is_stopped() {
            return Err(Error::Cancelled);
        }
        Ok(times.at_ms)
    }

    /// Takes the time of each kernel apart: a batch of a prompt, and a token at each depth. None if the device cannot.
    pub async fn profiles(&mut self, session: &mut Session, cases: &Cases) -> Result<Option<Vec<PlanTimes>>> {
        let mut all = Vec::new();
        let longest = cases.cases.iter().filter(|case| case.stage == BenchStage::Prefill).map(|case| case.tokens).max();
        for case in &cases.cases {
            let (depth, tokens) = match case.stage {
                BenchStage::Decode => (case.tokens, 1),
                // Every batch of a prompt is alike but for its depth, so one stands for all.
                _ if Some(case.tokens) == longest => (0, case.tokens.min(session.prefill_tokens())),
                _ => {
                    self.plan.done += 1;
                    continue;
                }
            };
            self.tell(BenchStage::Profile, case.tokens, [0, PROFILED_STEPS as u32])?;
            let Some(steps) = self.profile(session, depth, tokens).await? else { return Ok(None) };
            all.push(PlanTimes { stage: case.stage, depth_tokens: depth, tokens, steps });
            self.plan.done += 1;
        }
        Ok(Some(all))
    }

    async fn profile(&mut self, session: &mut Session, depth: u32, tokens: u32) -> Result<Option<Vec<Vec<Timed>>>> {
        let ids = self.ids(session, depth + tokens);
        let (cached, batch) = ids.split_at(depth as usize);
        session.assume_cached(cached.to_vec());
        let plan = if tokens == 1 { PlanIndex::Decode } else { PlanIndex::Prefill };
        let mut steps = Vec::with_capacity(PROFILED_STEPS);
        // The first step is not counted.
        for step in 0..=PROFILED_STEPS {
            let host = &*self.host;
            let Some(timed) = session.time_step(plan, batch, &|| host.now_ms()).await? else { return Ok(None) };
            if step > 0 {
                steps.push(timed);
            }
            host.pause().await;
            if host.is_stopped() {
                return Err(Error::Cancelled);
            }
        }
        Ok(Some(steps))
    }

    /// Any tokens of the vocabulary.
    fn ids(&mut self, session: &Session, count: u32) -> Vec<u32> {
        let vocab_size = session.config().vocab_size.max(1);
        (0..count).map(|_| next(&mut self.random) % vocab_size).collect()
    }
}

/// Notes when each token came.
struct Times<'a> {
    host: &'a dyn Host,
    at_ms: Vec<f64>,
}

impl Sink for Times<'_> {
    fn prefilled(&mut self, _done_tokens: usize, _prompt_tokens: usize) {}

    fn token(&mut self, _id: u32, _text: String) {
        self.at_ms.push(self.host.now_ms());
    }

    fn is_stopped(&self) -> bool {
        self.host.is_stopped()
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        self.host.pause()
    }
}

/// A coarse clock may see no time pass at all: no more is claimed than it could have seen.
fn per_second(count: f64, ms: f64) -> f64 {
    const CLOCK_MS: f64 = 0.001;
    count * 1000.0 / ms.max(CLOCK_MS)
}

/// The next of a sequence of 32-bit numbers (Marsaglia 2003, xorshift).
fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}
