//! The choice of the next token, as far as a device can make it.

use super::{Recorder, Shared};
use crate::{
    kernel::{
        Choose, PEAKS, Peaks, Shortlist,
        shader::{choose, peaks, shortlist},
    },
    plan::{Command, Plan, TensorKind},
    tensor::TensorId,
};

/// So many of the likeliest tokens are surely on a short list.
pub const SHORTLIST_TOKENS_MIN: u32 = 64;

/// A short list has room for so many; if more are as likely as the last of them, it is of no use.
pub const SHORTLIST_TOKENS_MAX: u32 = 256;

impl Recorder<'_> {
    /// The plans that follow those that compute logits: where the choice is, the short list, and the peaks.
    pub(super) fn choices(&mut self, shared: &Shared) -> [TensorId; 3] {
        let (x, columns) = (shared.logits, self.config.vocab_size);
        let mut state = |label: &str, rows: u32| self.program.declare(label, TensorKind::State, rows.into(), 2);
        let peaks = state("peaks", PEAKS);
        let choice = state("choice", 1);
        let list = state("short list", 1 + SHORTLIST_TOKENS_MAX);
        let of_peaks = Command::Peaks(Peaks { x, peaks, list, params: peaks::Params { columns } });
        let params = choose::Params { peaks: PEAKS };
        let choose = Command::Choose(Choose { peaks, ids: shared.ids, choice, params });
        let params = shortlist::Params { columns, wanted: SHORTLIST_TOKENS_MIN, entries_max: SHORTLIST_TOKENS_MAX };
        let shortlist = Command::Shortlist(Shortlist { x, peaks, list, params });
        for (name, last) in [("choose", choose), ("short list", shortlist)] {
            let commands = vec![of_peaks.clone(), last];
            self.program.plans.push(Plan { name: name.into(), tokens_max: self.batch, commands });
        }
        [choice, list, peaks]
    }
}
