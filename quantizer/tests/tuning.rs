//! Tuning: its gradients, its agreement with the engine, and its place at the end of a run.

mod small_model;

use std::{collections::BTreeMap, fs, sync::atomic::Ordering};

use hearth_engine::{
    Error, Result,
    decode::Divergence,
    device::Workers,
    file::{MemoryFolder, OpenedModel, open_model},
    tensor::Format,
};
use hearth_quantizer::{
    Host, Options, Progress,
    model::{Report, Tuned, quantize_model},
    random::Random,
    tune::{Student, Tuning},
};
use safetensors::SafeTensors;
use small_model::{MemoryHost, apart, device, experts, gemma2, logits, opened, options, qwen3, texts, written};

fn run(opened: &OpenedModel, options: &Options, host: &dyn Host) -> Result<Report> {
    pollster::block_on(quantize_model(&mut device(), opened, options, &texts(), host))
}

fn student(opened: &OpenedModel) -> Student {
    pollster::block_on(Student::load(opened, 32)).unwrap()
}

/// Models of every kind of block, as they are and quantised.
fn models() -> Vec<(&'static str, OpenedModel, OpenedModel)> {
    let models = [("tied", opened(true)), ("untied", opened(false)), ("qwen3", qwen3()), ("gemma2", gemma2())];
    let quantised = |(name, opened)| {
        let host = MemoryHost::new(usize::MAX);
        run(&opened, &options(3), &host).unwrap();
        let written = written(&host);
        (name, opened, written)
    };
    models.into_iter().map(quantised).collect()
}

#[test]
fn a_student_answers_as_the_engine_does() {
    for (name, opened, quantised) in models() {
        for model in [opened, quantised] {
            let (student, ids) = (student(&model), &texts()[0]);
            let found = apart(&logits(&model, ids), &student.logits(student.values(), ids));
            // F32, whose sums come in another order; a cap's tanh is a polynomial in the engine.
            assert!(found < 1e-5, "{name}: {found}");
        }
    }
}

#[test]
fn a_student_of_levels_answers_as_the_engine_does() {
    let mut folder = MemoryFolder::new("the bundled model of two bits");
    for entry in fs::read_dir("../models/hearth-tiny-2bit").unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            folder = folder.with(path.file_name().unwrap().to_str().unwrap(), fs::read(&path).unwrap());
        }
    }
    let model = pollster::block_on(open_model(&folder, None)).unwrap();
    assert!(model.catalog.tensors.values().any(|tensor| tensor.format == Format::Levels2));
    let (student, ids) = (student(&model), &texts()[0][..8]);
    let found = apart(&logits(&model, ids), &student.logits(student.values(), ids));
    assert!(found < 1e-4, "{found}");
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for (name, opened, quantised) in models() {
        let (student, ids) = (student(&quantised), &texts()[1]);
        let teacher = logits(&opened, ids);
        let values: Vec<f64> = student.values().iter().map(|value| f64::from(*value)).collect();
        let (_, gradient) = student.gradient(&values, ids, &teacher);
        let at = |moved: &[(usize, f64)]| {
            let mut values = values.clone();
            moved.iter().for_each(|(index, by)| values[*index] += by);
            student.divergence(&values, ids, &teacher)
        };
        let check = |what: &str, direction: Vec<(usize, f64)>| {
            let step = 1e-6;
            let scaled = |by: f64| direction.iter().map(|(index, of)| (*index, by * of)).collect::<Vec<_>>();
            let expected = (at(&scaled(step)) - at(&scaled(-step))) / (2.0 * step);
            let found: f64 = direction.iter().map(|(index, of)| gradient[*index] * of).sum();
            // Rounding in F64 over the step, and the third derivative times its square.
            assert!((found - expected).abs() < 1e-7 * (1.0 + expected.abs()), "{name}, {what}: {found}, {expected}");
        };
        let mut random = Random::new(5);
        for parameter in student.parameters() {
            let range = parameter.first..parameter.first + parameter.count;
            let direction = range.map(|index| (index, random.normal() * values[index].abs().max(0.1))).collect();
            check(&format!("{parameter:?}"), direction);
        }
    }
}

#[test]
fn the_gradient_in_f32_is_that_in_f64() {
    for (name, opened, quantised) in models() {
        let (student, ids) = (student(&quantised), &texts()[2]);
        let teacher = logits(&opened, ids);
        let values: Vec<f64> = student.values().iter().map(|value| f64::from(*value)).collect();
        let (expected, found) = (
            student.gradient(&values, ids, &teacher).1.into_iter().map(|value| value as f32).collect::<Vec<_>>(),
            student.gradient(student.values(), ids, &teacher).1,
        );
        let found = apart(&expected, &found);
        // Where a capped score lies near its cap, differences of near numbers are taken.
        assert!(found < 1e-3, "{name}: {found}");
    }
}

fn tuning(steps: u32) -> Tuning {
    Tuning { scales_rate: 0.02, gains_rate: 0.02, ..Tuning::new(steps) }
}

fn tuned_options(steps: u32) -> Options {
    let mut options = options(2);
    options.tuning = Some(tuning(steps));
    options
}

/// Mean divergence by the engine.
fn divergence(opened: &OpenedModel, host: &MemoryHost) -> f64 {
    let (quantised, mut found) = (written(host), Divergence::default());
    for ids in texts() {
        found.add(&logits(opened, &ids), &logits(&quantised, &ids), 48, &ids);
    }
    found.kl_mean()
}

#[test]
fn tuning_lowers_the_divergence_and_leaves_codes_alone() {
    for (name, opened) in [("tied", opened(true)), ("qwen3", qwen3()), ("gemma2", gemma2())] {
        let (plain, tuned) = (MemoryHost::new(usize::MAX), MemoryHost::new(usize::MAX));
        assert_eq!(run(&opened, &options(2), &plain).unwrap().tuning, None);
        let report = run(&opened, &tuned_options(24), &tuned).unwrap();
        let Some(Tuned::Done(found)) = &report.tuning else { panic!("{name}: {:?}", report.tuning) };
        assert!(found.is_kept() && found.steps == 24, "{name}: {found:?}");
        let [before, after] = [&plain, &tuned].map(|host| divergence(&opened, host));
        assert!(after < 0.9 * before, "{name}: {before} before, {after} after");
        assert!(plain.files().keys().eq(tuned.files().keys()), "{:?}", tuned.files().keys());
        let names = plain.files().into_keys().filter(|name| name.ends_with(".safetensors"));
        let mut changed = 0;
        for file in names {
            let [plain, tuned] = [&plain, &tuned].map(|host| host.files()[&file].clone());
            let [plain, tuned] = [&plain, &tuned].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
            for (tensor, before) in plain.iter() {
                let after = tuned.tensor(tensor).unwrap();
                assert_eq!(before.shape(), after.shape(), "{tensor}");
                let strip = if before.shape().len() == 2 { before.shape()[1] } else { continue };
                for (before, after) in before.data().chunks(strip).zip(after.data().chunks(strip)) {
                    assert_eq!(before[32..], after[32..], "{tensor}");
                    changed += usize::from(before[..32] != after[..32]);
                }
            }
        }
        assert!(changed > 20, "{name}: {changed} strips");
    }
}

#[test]
fn what_got_no_better_stays_as_it_was() {
    let (plain, tuned) = (MemoryHost::new(usize::MAX), MemoryHost::new(usize::MAX));
    let mut wild = options(3);
    wild.tuning = Some(Tuning { scales_rate: 30.0, gains_rate: 30.0, ..tuning(1) });
    run(&opened(true), &options(3), &plain).unwrap();
    let report = run(&opened(true), &wild, &tuned).unwrap();
    assert!(matches!(&report.tuning, Some(Tuned::Done(found)) if !found.is_kept()), "{:?}", report.tuning);
    assert_eq!(plain.files(), tuned.files());
}

#[test]
fn an_interrupted_tuning_goes_on_and_gives_the_same_bytes() {
    let (opened, options) = (opened(false), tuned_options(20));
    let whole = MemoryHost::new(usize::MAX);
    let report = run(&opened, &options, &whole).unwrap();
    let mut interruptions = 0;
    // Four parts with a journal each, and then interim states at steps 8 and 16.
    for patience in 7..=10 {
        let host = MemoryHost::new(patience);
        if run(&opened, &options, &host) == Err(Error::Cancelled) {
            interruptions += usize::from(host.files().contains_key("quantize.tuning.safetensors"));
            assert!(!host.files().contains_key("config.json"), "it is no model yet");
            host.patience.store(usize::MAX, Ordering::Relaxed);
            assert_eq!(run(&opened, &options, &host).unwrap(), report, "{patience}");
        }
        assert_eq!(host.files(), whole.files(), "{patience}");
    }
    assert!(interruptions >= 2, "{interruptions}");
}

/// A folder on a disk that is full after so many files.
struct FullHost(MemoryHost);

impl Host for FullHost {
    fn workers(&self) -> &dyn Workers {
        self.0.workers()
    }

    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.0.kept(name)
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.0.is_cancelled() {
            return Err(Error::Io { file: name.to_owned(), reason: "the disk is full".into() });
        }
        self.0.keep(name, bytes)
    }

    fn forget(&self, name: &str) -> Result<()> {
        self.0.forget(name)
    }

    fn progress(&self, progress: &Progress) {
        self.0.progress(progress);
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

#[test]
fn a_run_that_dies_while_it_writes_what_it_tuned_goes_on() {
    let (opened, options) = (opened(true), tuned_options(8));
    let whole = MemoryHost::new(usize::MAX);
    run(&opened, &options, &whole).unwrap();
    let mut files = BTreeMap::new();
    // Parts, interim state, parameters, the journal, parts once more, and documents.
    for patience in 8..=20 {
        let host = FullHost(MemoryHost::new(patience));
        if run(&opened, &options, &host).is_err() {
            let kept = host.0.files();
            files.extend(kept.keys().map(|name| (name.clone(), ())));
            host.0.patience.store(usize::MAX, Ordering::Relaxed);
            run(&opened, &options, &host).unwrap();
        }
        assert_eq!(host.0.files(), whole.files(), "{patience}");
    }
    assert!(files.contains_key("quantize.tuned.safetensors"), "{:?}", files.keys());
}

#[test]
fn a_model_that_cannot_be_tuned_is_refused_or_left_as_it_is() {
    let refused = pollster::block_on(Student::load(&experts(), 32)).err().map(|error| error.to_string());
    assert!(refused.as_ref().is_some_and(|text| text.contains("--tune off")), "{refused:?}");
    let mut options = tuned_options(4);
    let small = Tuning { memory_bytes: 100_000, ..tuning(4) };
    options.tuning = Some(small.clone());
    let error = run(&opened(true), &options, &MemoryHost::new(usize::MAX)).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { available_bytes: 100_000, .. }), "{error}");
    options.tuning = Some(Tuning { is_required: false, ..small });
    let (plain, skipped) = (MemoryHost::new(usize::MAX), MemoryHost::new(usize::MAX));
    let report = run(&opened(true), &options, &skipped).unwrap();
    assert!(matches!(&report.tuning, Some(Tuned::Skipped(reason)) if reason.contains("tuning")), "{report:?}");
    run(&opened(true), &small_model::options(2), &plain).unwrap();
    assert_eq!(plain.files(), skipped.files());
}
