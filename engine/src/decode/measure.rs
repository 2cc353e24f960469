//! A session without text: tokens in, the likeliest tokens out. For measuring, where words would only be in the way.

use super::{Sampler, Session, Sink, choosing::Chooser, stream::Stop};
use crate::{
    Result,
    device::{Device, Timed},
    kernel::Step,
    model::PlanIndex,
    plan::Command,
    protocol::Sampling,
    tensor::KvFormat,
};

/// Floats that are written to a cache at once.
const FILL_ELEMENTS: usize = 1 << 18;

impl Session {
    /// Reads what of a prompt is not in the cache yet, and goes on from there by the likeliest token, `count` times. It
    /// goes through the very steps of [`Self::generate`]; the sink gets tokens without text. Returns how many there
    /// were, which is fewer if the sink stopped it.
    pub async fn run_on(&mut self, prompt: &[u32], count: usize, sink: &mut dyn Sink) -> Result<usize> {
        let mut sampler = Sampler::new(Sampling::greedy(), 0)?;
        let mut chooser = Chooser::of(self.choosing, &sampler, false);
        if !self.prefill(prompt, &mut chooser, sink).await? {
            return Ok(0);
        }
        for done in 1..=count {
            let more = (count - done, (&|| sink.is_stopped()) as Stop<'_>);
            let id = self.choose(&mut chooser, (&mut sampler, None), &[], more).await?;
            sink.token(id, String::new());
            sink.pause().await;
            if done == count || sink.is_stopped() {
                return Ok(done);
            }
            self.follow(&mut chooser, id, &|| sink.is_stopped()).await?;
        }
        Ok(count)
    }

    /// Takes it that the cache holds these tokens, whatever is in it: how long a step takes does not depend on it.
    pub fn assume_cached(&mut self, ids: Vec<u32>) {
        self.cached = ids;
    }

    /// Fills every cache with numbers, the same piece over and over: memory of zeros may be quicker than memory in use.
    pub async fn fill_caches(&mut self, mut number: impl FnMut() -> f32) -> Result<()> {
        let program = &self.model.program;
        let is_packed = program.plans.iter().flat_map(|plan| &plan.commands).any(|command| match command {
            Command::KvWrite(write) => write.format != KvFormat::F32,
            _ => false,
        });
        // A packed cache's words may be two scales: each half of one must stand for a number then.
        let word = |number: f32| f32::from_bits(number.to_bits() & 0xffff_0000 | number.to_bits() >> 16);
        let numbers = std::iter::repeat_with(|| if is_packed { word(number()) } else { number() });
        let piece: Vec<f32> = numbers.take(FILL_ELEMENTS).collect();
        for id in self.model.program.caches() {
            let elements = self.model.program.tensor(id).elements();
            for at in (0..elements).step_by(FILL_ELEMENTS) {
                let count = (elements - at).min(FILL_ELEMENTS as u64) as usize;
                self.device.write(id, at, &piece[..count])?;
            }
            // What is on its way takes memory of its own until it has arrived.
            self.device.read(id, 0..1).await?;
        }
        Ok(())
    }

    /// Runs one step behind the cache, which stays as it was, and tells how long each command took; None if the device
    /// cannot tell, or not all weights are on it.
    pub async fn time_step(
        &mut self,
        plan: PlanIndex,
        ids: &[u32],
        now_ms: &dyn Fn() -> f64,
    ) -> Result<Option<Vec<Timed>>> {
        if self.placement().is_some() {
            return Ok(None);
        }
        let step = Step { position: self.cached.len() as u32, tokens: ids.len() as u32 };
        self.device.time_step(plan as usize, step, ids, now_ms).await
    }

    /// What it runs on, to be measured.
    pub fn device_mut(&mut self) -> &mut Device {
        &mut self.device
    }
}
