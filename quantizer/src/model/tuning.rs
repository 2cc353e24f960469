//! The last step of a run: the finished parts together are a student, and what it learns is written into them.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    device::Device,
    file::{MemoryFolder, OpenedModel, open_model},
    quant::trellis::{SCALES_BYTES, STRIP_ROWS},
};
use safetensors::Dtype;

use super::{
    pipeline::Job,
    report::Tuned,
    shards::{self, Stored},
};
use crate::tune::{Adam, Learned, Parameter, ParameterKind, Student, Tuning, Watch, tune};

/// How far the steps are.
const STATE: &str = "quantize.tuning.safetensors";
/// What the parameters became in the end: the parts may be written with it more than once.
const VALUES: &str = "quantize.tuned.safetensors";

/// A step counts as much as this part of the model's weights does while they are rounded.
const STEPS_A_MODEL: u64 = 64;

impl Job<'_> {
    /// How much tuning adds to the run.
    pub(super) fn tuning_total(&self) -> u64 {
        let steps = self.options.tuning.as_ref().map_or(0, |tuning| u64::from(tuning.steps));
        steps * (self.opened.catalog.parameters() / STEPS_A_MODEL)
    }

    /// Tunes what is finished, or writes what an earlier run had tuned. A model that cannot be tuned stays as it is, unless
    /// tuning was asked for by name.
    pub(super) async fn tune(&mut self, device: &mut Device) -> Result<()> {
        let Some(tuning) = self.options.tuning.clone() else { return Ok(()) };
        if let Some(Tuned::Skipped(_)) = self.tuned() {
            return Ok(());
        }
        self.tell("tuning", 0);
        match self.learn(device, &tuning).await {
            Err(error @ (Error::InvalidRequest { .. } | Error::OutOfMemory { .. })) if !tuning.is_required => {
                self.tell("no tuning", self.tuning_total());
                self.set_tuned(Tuned::Skipped(error.to_string()))
            }
            other => other,
        }
    }

    async fn learn(&mut self, device: &mut Device, tuning: &Tuning) -> Result<()> {
        let longest = self.texts.iter().map(Vec::len).max().unwrap_or_default();
        let student = Student::load(&self.quantised().await?, u32::try_from(longest).unwrap_or(u32::MAX)).await?;
        let count = student.values().len();
        if self.tuned().is_none() {
            let begun = match self.host.kept(STATE)? {
                Some(bytes) => Some(read_state(&bytes, count)?),
                None => None,
            };
            let (opened, texts, seed) = (self.opened, self.texts, self.options.seed);
            let done = begun.as_ref().map_or(0, |(adam, _)| u64::from(adam.steps));
            let each = self.opened.catalog.parameters() / STEPS_A_MODEL;
            self.tell("tuning", done * each);
            let workers = self.host.workers();
            let mut watch = JobWatch { steps: tuning.steps, each, job: self };
            let Learned { values, report } =
                tune(device, opened, &student, tuning, (texts, seed), workers, begun, &mut watch).await?;
            self.host.keep(VALUES, &state_bytes(&[("values", &values)], report.steps, report.kl_before)?)?;
            self.set_tuned(Tuned::Done(report))?;
        }
        if let Some(Tuned::Done(report)) = self.tuned()
            && report.is_kept()
        {
            let kept = self.host.kept(VALUES)?.ok_or_else(|| Error::malformed(VALUES, "is missing"))?;
            let values = read_list(&kept, "values", count)?;
            self.write_parameters(student.parameters(), &values)?;
        }
        Ok(())
    }

    /// Removes what tuning left behind while it was not done.
    pub(super) fn forget_tuning(&self) -> Result<()> {
        self.host.forget(STATE)?;
        self.host.forget(VALUES)
    }

    /// The model that the finished parts are, in memory.
    async fn quantised(&self) -> Result<OpenedModel> {
        let mut folder = MemoryFolder::new("the quantised model");
        for part in 0..self.parts() {
            let name = shards::name(part, self.parts());
            let bytes = self.host.kept(&name)?.ok_or_else(|| Error::malformed(&name, "is missing"))?;
            folder = folder.with(&name, bytes);
        }
        folder = folder.with("model.safetensors.index.json", self.index().to_string());
        folder = folder.with("config.json", self.config_json()?.to_string());
        for (name, bytes) in self.texts_beside() {
            folder = folder.with(name, bytes);
        }
        open_model(&folder, None).await
    }

    /// Writes parameters into the parts that hold them. Done twice it does no more.
    fn write_parameters(&mut self, parameters: &[Parameter], values: &[f32]) -> Result<()> {
        self.forget_sizes();
        for part in 0..self.parts() {
            let name = shards::name(part, self.parts());
            let bytes = self.host.kept(&name)?.ok_or_else(|| Error::malformed(&name, "is missing"))?;
            let mut tensors = shards::from_bytes(&name, &bytes)?;
            for parameter in parameters {
                if let (Some(stored), Some(values)) =
                    (tensors.get_mut(&parameter.tensor), values.get(parameter.first..parameter.first + parameter.count))
                {
                    write(stored, parameter.kind, values);
                }
            }
            self.host.keep(&name, &shards::to_bytes(&tensors)?)?;
            self.note(&name, &tensors);
        }
        Ok(())
    }
}

/// Writes scales or gains into their tensor.
fn write(stored: &mut Stored, kind: ParameterKind, values: &[f32]) {
    match kind {
        ParameterKind::Gains { add_one } => {
            let less = if add_one { 1.0 } else { 0.0 };
            let values: Vec<f32> = values.iter().map(|value| value - less).collect();
            *stored = Stored::floats(vec![values.len()], &values);
        }
        ParameterKind::Scales { first_row } => {
            let strip_bytes = stored.shape.last().copied().unwrap_or(SCALES_BYTES).max(SCALES_BYTES);
            for (row, value) in (first_row..).zip(values) {
                let at = row / STRIP_ROWS * strip_bytes + 2 * (row % STRIP_ROWS);
                if let Some(scale) = stored.bytes.get_mut(at..at + 2) {
                    scale.copy_from_slice(&half::f16::from_f32(*value).to_le_bytes());
                }
            }
        }
    }
}

/// Tells the host.
struct JobWatch<'job, 'a> {
    steps: u32,
    each: u64,
    job: &'job mut Job<'a>,
}

impl Watch for JobWatch<'_, '_> {
    fn progress(&mut self, step: u32) {
        self.job.tell(&format!("tuning, step {step} of {}", self.steps), self.each);
    }

    fn is_cancelled(&self) -> bool {
        self.job.host.is_cancelled()
    }

    fn keep(&mut self, state: &Adam, kl_before: f64) -> Result<()> {
        let [moved, mean, square] = state.lists();
        let lists = [("moved", moved), ("mean", mean), ("square", square)];
        self.job.host.keep(STATE, &state_bytes(&lists, state.steps, kl_before)?)
    }
}

fn state_bytes(lists: &[(&str, &[f32])], steps: u32, kl_before: f64) -> Result<Vec<u8>> {
    let mut tensors: BTreeMap<String, Stored> =
        lists.iter().map(|(name, values)| ((*name).to_owned(), Stored::floats(vec![values.len()], values))).collect();
    let single = |dtype, bytes: &[u8]| Stored { dtype, shape: vec![1], bytes: bytes.to_vec() };
    tensors.insert("steps".into(), single(Dtype::U32, &steps.to_le_bytes()));
    tensors.insert("kl_before".into(), single(Dtype::F64, &kl_before.to_le_bytes()));
    shards::to_bytes(&tensors)
}

fn read_state(bytes: &[u8], count: usize) -> Result<(Adam, f64)> {
    let tensors = shards::from_bytes(STATE, bytes)?;
    let bytes_of = |name: &str| tensors.get(name).map(|stored| stored.bytes.as_slice()).unwrap_or_default();
    let missing = || Error::malformed(STATE, "lacks the numbers of its steps");
    let steps = u32::from_le_bytes(bytes_of("steps").try_into().map_err(|_| missing())?);
    let kl_before = f64::from_le_bytes(bytes_of("kl_before").try_into().map_err(|_| missing())?);
    let [moved, mean, square] = ["moved", "mean", "square"].map(|name| read_list(bytes, name, count));
    Ok((Adam::from_lists(steps, [moved?, mean?, square?]), kl_before))
}

fn read_list(bytes: &[u8], name: &str, count: usize) -> Result<Vec<f32>> {
    let tensors = shards::from_bytes(STATE, bytes)?;
    let stored = tensors.get(name).filter(|stored| stored.dtype == Dtype::F32 && stored.bytes.len() == 4 * count);
    let stored = stored.ok_or_else(|| Error::malformed(STATE, format_args!("lacks {count} numbers of {name:?}")))?;
    Ok(stored.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
