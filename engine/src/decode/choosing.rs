//! Who chooses the next token, and how far ahead of the host a device may run.
//!
//! What a device computes is brought to the host as late and as little as the settings allow: the token alone, and that
//! while later steps are already queued, if it is simply the likeliest; a short list of the likeliest tokens if it is drawn
//! from these; all logits otherwise.

use std::collections::VecDeque;

use super::{Sampler, Session, TokenMask, sampler::Candidates, stream::Stop};
use crate::{
    Error, Result,
    device::{Device, Fetch, Ids, Work},
    kernel::Step,
    model::PlanIndex,
};

/// What may be left to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choosing {
    /// Whether it may choose, or shorten the choice.
    pub on_device: bool,
    /// How many steps it may be ahead of the host, if it chooses.
    pub steps_ahead: usize,
}

impl Choosing {
    /// All on the host.
    pub const HOST: Self = Self { on_device: false, steps_ahead: 0 };

    /// What pays on a device: a CPU's memory is the host's.
    pub fn of(device: &Device) -> Self {
        match device {
            Device::Gpu(_) => Self { on_device: true, steps_ahead: 2 },
            Device::Cpu(_) => Self::HOST,
        }
    }
}

/// The choices of one generation.
pub(super) enum Chooser {
    /// From all logits.
    Logits,
    /// From a short list, or from all logits if it does not suffice.
    Shortlist(Option<Fetch>),
    /// The device's.
    Device(Ring),
}

/// Steps whose tokens the host has not seen yet.
#[derive(Default)]
pub(super) struct Ring {
    fetches: VecDeque<Fetch>,
    /// Tokens that are in the cache when all queued steps are done.
    position: usize,
}

impl Chooser {
    /// The best one that gives the very tokens which the sampler would choose from the logits.
    pub(super) fn of(choosing: Choosing, sampler: &Sampler, is_constrained: bool) -> Self {
        if !choosing.on_device || is_constrained {
            Self::Logits
        } else if sampler.takes_likeliest() {
            Self::Device(Ring::default())
        } else if sampler.shortlist_tokens().is_some() {
            Self::Shortlist(None)
        } else {
            Self::Logits
        }
    }
}

impl Session {
    /// The plan that follows one which computes logits, and what to read then.
    fn tail(&self, chooser: &Chooser) -> Option<(PlanIndex, crate::tensor::TensorId)> {
        match chooser {
            Chooser::Logits => None,
            Chooser::Shortlist(_) => Some((PlanIndex::Shortlist, self.model.shortlist)),
            Chooser::Device(_) => Some((PlanIndex::Choose, self.model.choice)),
        }
    }

    /// Runs a batch whose logits are wanted.
    pub(super) async fn step_and_choose(
        &mut self,
        plan: PlanIndex,
        ids: &[u32],
        chooser: &mut Chooser,
        stop: Stop<'_>,
    ) -> Result<()> {
        let tail = self.tail(chooser);
        let fetch = self.step_with(plan, ids, tail, stop).await?;
        match chooser {
            Chooser::Logits => {}
            Chooser::Shortlist(list) => *list = fetch,
            Chooser::Device(ring) => {
                ring.fetches.extend(fetch);
                ring.position = self.cached.len();
            }
        }
        Ok(())
    }

    /// The next token. `more` says how many may follow the one that is asked for.
    pub(super) async fn choose(
        &mut self,
        chooser: &mut Chooser,
        (sampler, constraint): (&mut Sampler, Option<&mut TokenMask>),
        history: &[u32],
        (more, stop): (usize, Stop<'_>),
    ) -> Result<u32> {
        match chooser {
            Chooser::Logits => {}
            Chooser::Shortlist(list) => {
                if let Some(fetch) = list.take() {
                    let candidates = Candidates::read(&fetch.wait().await?);
                    if let Some(id) = sampler.next_of(candidates, history)? {
                        return Ok(id);
                    }
                }
            }
            Chooser::Device(ring) => return self.next_of_ring(ring, more, stop).await,
        }
        let mut logits = self.read_logits(1).await?;
        if let Some(constraint) = constraint {
            constraint.apply(&mut logits)?;
        }
        sampler.next(&mut logits, history)
    }

    /// Runs the step of a token that was chosen.
    pub(super) async fn follow(&mut self, chooser: &mut Chooser, id: u32, stop: Stop<'_>) -> Result<()> {
        if let Chooser::Device(ring) = chooser {
            if ring.position == self.cached.len() {
                self.queue_step(ring, stop).await?;
            }
            self.cached.push(id);
            return Ok(());
        }
        self.step_and_choose(PlanIndex::Decode, &[id], chooser, stop).await
    }

    async fn next_of_ring(&mut self, ring: &mut Ring, more: usize, stop: Stop<'_>) -> Result<u32> {
        let ahead = self.choosing.steps_ahead.min(more);
        while ring.fetches.len() <= ahead && ring.position < self.model.context_tokens as usize {
            self.queue_step(ring, stop).await?;
        }
        let Some(fetch) = ring.fetches.pop_front() else {
            return Err(Error::DeviceFault { reason: "no step is on its way".into() });
        };
        // If the device fails in mid-step, nothing that it wrote is trusted.
        let before = std::mem::take(&mut self.cached);
        let choice = fetch.wait().await?;
        self.cached = before;
        match choice[..] {
            [id, 0.0] if id >= 0.0 && id < self.model.config.vocab_size as f32 => Ok(id as u32),
            [id, _] => Err(Error::DeviceFault { reason: format!("the logit of token {id} is not a number") }),
            _ => Err(Error::DeviceFault { reason: "a choice is two numbers".into() }),
        }
    }

    /// Queues the step of the token that the device chose last.
    async fn queue_step(&mut self, ring: &mut Ring, stop: Stop<'_>) -> Result<()> {
        let plans = [PlanIndex::Decode as usize, PlanIndex::Choose as usize];
        let step = Step { position: ring.position as u32, tokens: 1 };
        let fetch = Some((self.model.choice, 0..2));
        ring.fetches.extend(self.submit(&Work { plans: &plans, step, ids: Ids::Chosen, fetch }, stop).await?);
        ring.position += 1;
        Ok(())
    }
}

impl Sampler {
    /// Whether it always takes the likeliest token, whatever came before.
    fn takes_likeliest(&self) -> bool {
        self.sampling().temperature == 0.0 && self.sampling().repetition_penalty == 1.0
    }
}
