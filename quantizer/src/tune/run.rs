//! The steps.

use hearth_engine::{
    Error, Result,
    device::{Device, Workers},
    file::OpenedModel,
};

use super::{Adam, ParameterKind, Student, Tuning, TuningReport, teacher::Teacher};
use crate::{linear::for_pieces, random::Random};

/// Of so many texts one is held out, and not tuned on.
const HELD_OUT_EVERY: usize = 8;
/// So many at most.
const HELD_OUT_MAX: usize = 16;
/// Steps from one interim state to the next.
const KEPT_EVERY: u32 = 8;

/// What becomes of the parameters, as their tensors hold them.
pub struct Learned {
    /// In the order of [`Student::parameters`]; as they were if they got no better.
    pub values: Vec<f32>,
    /// What it did.
    pub report: TuningReport,
}

/// Whoever watches it.
pub trait Watch {
    /// Hears how many steps are done.
    fn progress(&mut self, step: u32);
    /// Whether to stop.
    fn is_cancelled(&self) -> bool;
    /// Keeps an interim state, and the divergence before the first step.
    fn keep(&mut self, state: &Adam, kl_before: f64) -> Result<()>;
}

/// Texts, and which of them are for what.
struct Texts<'a> {
    tuned: Vec<&'a [u32]>,
    held_out: Vec<&'a [u32]>,
}

impl<'a> Texts<'a> {
    /// Spreads those that are held out over all. A single text must do for both.
    fn new(texts: &'a [Vec<u32>]) -> Self {
        let wanted = (texts.len() / HELD_OUT_EVERY).clamp(1, HELD_OUT_MAX);
        let is_held = |at: usize| (0..wanted).any(|nth| (2 * nth + 1) * texts.len() / (2 * wanted) == at);
        let (held, tuned): (Vec<_>, Vec<_>) = texts.iter().enumerate().partition(|(at, _)| is_held(*at));
        let [tuned, held_out] =
            [tuned, held].map(|texts| texts.into_iter().map(|(_, text)| text.as_slice()).collect::<Vec<_>>());
        if tuned.is_empty() { Self { tuned: held_out.clone(), held_out } } else { Self { tuned, held_out } }
    }

    /// Those of a step: each comes once before any comes again, in an order that follows from the seed.
    fn of_step(&self, seed: u64, step: u32, count: u32) -> Vec<&'a [u32]> {
        let all = self.tuned.len();
        let first = step as usize * count as usize;
        (first..first + count as usize).map(|at| self.tuned[order(seed, at / all, all)[at % all]]).collect()
    }
}

/// A random order of so many things.
fn order(seed: u64, round: usize, count: usize) -> Vec<usize> {
    let mut random = Random::new(seed ^ (round as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut order: Vec<(u64, usize)> = (0..count).map(|at| (random.bits(), at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

struct Run<'a> {
    student: &'a Student,
    teacher: Teacher,
    workers: &'a dyn Workers,
    /// Texts that are in memory at once.
    lanes: usize,
}

/// Tunes a student on texts for what the model that it was made of says about them. `begun` is an interim state of an
/// earlier run, from which it goes on to the same end.
#[allow(clippy::too_many_arguments, reason = "a device, two models, and how to go about it")]
pub async fn tune(
    device: &mut Device,
    opened: &OpenedModel,
    student: &Student,
    tuning: &Tuning,
    (texts, seed): (&[Vec<u32>], u64),
    workers: &dyn Workers,
    begun: Option<(Adam, f64)>,
    watch: &mut dyn Watch,
) -> Result<Learned> {
    let longest = texts.iter().map(Vec::len).max().unwrap_or_default() as u64;
    let lanes = lanes(student, tuning, longest, workers.count())?;
    let texts = Texts::new(texts);
    let teacher = Teacher::load(device, opened, u32::try_from(longest.max(1)).unwrap_or(u32::MAX)).await?;
    let run = Run { student, teacher, workers, lanes };
    let values = student.values();
    let (mut adam, kl_before) = match begun {
        Some(begun) => begun,
        None => (Adam::new(values.len()), run.held_out(device, values, &texts, watch).await?),
    };
    let (units, rates) = units_and_rates(student, tuning);
    while adam.steps < tuning.steps {
        let now = moved(values, &units, &adam.moved);
        let mut gradient = run.gradient(device, &now, &texts.of_step(seed, adam.steps, tuning.texts), watch).await?;
        gradient.iter_mut().zip(&units).for_each(|(gradient, unit)| *gradient *= unit);
        adam.step(&gradient, &rates, tuning.steps);
        watch.progress(adam.steps);
        if adam.steps.is_multiple_of(KEPT_EVERY) || adam.steps == tuning.steps {
            watch.keep(&adam, kl_before)?;
        }
    }
    let mut found = moved(values, &units, &adam.moved);
    round(student, &mut found);
    let kl_after = run.held_out(device, &found, &texts, watch).await?;
    // As a journal gives them back, to the last bit.
    let [kl_before, kl_after] = [kl_before, kl_after].map(|kl| (kl * 1e9).round() / 1e9);
    let report = TuningReport { steps: tuning.steps, kl_before, kl_after };
    let values = if report.is_kept() { found } else { values.to_vec() };
    Ok(Learned { values, report })
}

/// How many texts may be in memory at once.
fn lanes(student: &Student, tuning: &Tuning, longest: u64, workers: usize) -> Result<usize> {
    let text = student.text_bytes(longest).max(1);
    let fixed = student.bytes() + 24 * student.values().len() as u64;
    match tuning.memory_bytes.saturating_sub(fixed) / text {
        0 => Err(Error::OutOfMemory {
            what: "tuning, which `--tune off` leaves out".into(),
            requested_bytes: fixed + text,
            available_bytes: tuning.memory_bytes,
        }),
        room => Ok(workers.clamp(1, usize::try_from(room).unwrap_or(usize::MAX))),
    }
}

/// What each parameter moves in units of, and its learning rate. A scale moves in parts of itself, and gains in parts of
/// their root mean square, since one of them may be nothing.
fn units_and_rates(student: &Student, tuning: &Tuning) -> (Vec<f32>, Vec<f32>) {
    let (mut units, mut rates) = (Vec::new(), Vec::new());
    for parameter in student.parameters() {
        let values = &student.values()[parameter.first..][..parameter.count];
        let rate = match parameter.kind {
            ParameterKind::Scales { .. } => {
                units.extend(values.iter().map(|value| value.abs()));
                tuning.scales_rate
            }
            ParameterKind::Gains { .. } => {
                let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
                let unit = (square / values.len().max(1) as f64).sqrt() as f32;
                units.extend(values.iter().map(|_| unit));
                tuning.gains_rate
            }
        };
        rates.resize(units.len(), rate as f32);
    }
    (units, rates)
}

fn moved(values: &[f32], units: &[f32], moved: &[f32]) -> Vec<f32> {
    values.iter().zip(units).zip(moved).map(|((value, unit), moved)| value + unit * moved).collect()
}

/// Rounds scales to what is stored.
fn round(student: &Student, values: &mut [f32]) {
    for parameter in student.parameters() {
        if matches!(parameter.kind, ParameterKind::Scales { .. }) {
            let range = parameter.first..parameter.first + parameter.count;
            values[range].iter_mut().for_each(|value| *value = half::f16::from_f32(*value).to_f32());
        }
    }
}

/// A text, what the teacher says of it, and what comes of it.
struct Lane<'a> {
    ids: &'a [u32],
    teacher: Vec<f32>,
    divergence: f64,
    gradient: Vec<f32>,
}

impl Run<'_> {
    /// Calls `work` on each text, some side by side, and `then` on what came of them, one after the other.
    async fn each(
        &self,
        device: &mut Device,
        texts: &[&[u32]],
        watch: &dyn Watch,
        work: &(dyn Fn(&mut Lane<'_>) + Sync),
        then: &mut dyn FnMut(&Lane<'_>),
    ) -> Result<()> {
        for texts in texts.chunks(self.lanes) {
            let mut lanes = Vec::new();
            for ids in texts {
                if watch.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let teacher = self.teacher.logits(device, ids).await?;
                lanes.push(Lane { ids, teacher, divergence: 0.0, gradient: Vec::new() });
            }
            for_pieces(self.workers, &mut lanes, 1, &|_, lane| lane.iter_mut().for_each(work));
            lanes.iter().for_each(&mut *then);
        }
        Ok(())
    }

    /// Mean divergence of the texts that are held out.
    async fn held_out(&self, device: &mut Device, values: &[f32], texts: &Texts<'_>, watch: &dyn Watch) -> Result<f64> {
        let (mut sum, mut tokens) = (0.0, 0);
        let work = |lane: &mut Lane<'_>| lane.divergence = self.student.divergence(values, lane.ids, &lane.teacher);
        self.each(device, &texts.held_out, watch, &work, &mut |lane| {
            sum += lane.divergence;
            tokens += lane.ids.len();
        })
        .await?;
        Ok(sum / tokens.max(1) as f64)
    }

    /// The gradient of the mean divergence of some texts.
    async fn gradient(
        &self,
        device: &mut Device,
        values: &[f32],
        texts: &[&[u32]],
        watch: &dyn Watch,
    ) -> Result<Vec<f32>> {
        let (mut sum, mut tokens) = (vec![0.0; values.len()], 0);
        let work = |lane: &mut Lane<'_>| {
            (lane.divergence, lane.gradient) = self.student.gradient(values, lane.ids, &lane.teacher);
        };
        self.each(device, texts, watch, &work, &mut |lane| {
            sum.iter_mut().zip(&lane.gradient).for_each(|(sum, gradient)| *sum += gradient);
            tokens += lane.ids.len();
        })
        .await?;
        sum.iter_mut().for_each(|sum| *sum /= tokens.max(1) as f32);
        Ok(sum)
    }
}
