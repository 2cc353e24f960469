//! What tuning does to a quantised model, with steps and rates to try:
//! `cargo run --release -p hearth-quantizer --example tune -- MODEL QUANTISED TUNE.txt TEST.txt [steps] [texts] [rate of
//! scales] [rate of gains] [tokens]`. Divergence, perplexity and accuracy are those of 24 windows of the test text.
#![allow(clippy::print_stdout, reason = "a measurement is for reading")]

use std::{
    error::Error,
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use hearth_engine::{
    Result,
    decode::Divergence,
    device::{CpuDevice, Device, Workers},
    file::{MemoryFolder, OpenedModel, open_model},
    text::{EncodeOptions, Tokenizer},
};
use hearth_quantizer::tune::{Adam, Student, Tuning, Watch, tune};

/// Tokens of a window.
const WINDOW: usize = 512;
/// Windows of the test text.
const TESTED: usize = 24;

/// Threads for one piece of work at a time.
struct Threads(usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    while let Some(part) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|part| *part < parts) {
                        work(part);
                    }
                });
            }
        });
    }
}

struct Silent;

impl Watch for Silent {
    fn progress(&mut self, _: u32) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    fn keep(&mut self, _: &Adam, _: f64) -> Result<()> {
        Ok(())
    }
}

fn open(folder: &str) -> std::result::Result<OpenedModel, Box<dyn Error>> {
    let mut files = MemoryFolder::new(folder);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files = files.with(&entry.file_name().to_string_lossy(), fs::read(entry.path())?);
        }
    }
    Ok(pollster::block_on(open_model(&files, None))?)
}

/// So many tokens of a text in windows that are spread over it.
fn windows(tokenizer: &Tokenizer, file: &str, count: usize) -> std::result::Result<Vec<Vec<u32>>, Box<dyn Error>> {
    let encode = |text: &str, add_special| tokenizer.encode(text, EncodeOptions { parse_special: false, add_special });
    let begin: Vec<u32> = encode("", true)?.into_iter().take(1).collect();
    let ids = encode(&fs::read_to_string(file)?, false)?;
    let all: Vec<&[u32]> = ids.chunks_exact(WINDOW - begin.len()).collect();
    let count = count.min(all.len());
    Ok((0..count).map(|at| [begin.as_slice(), all[at * all.len() / count]].concat()).collect())
}

fn tell(name: &str, reference: &Student, model: &Student, values: &[f32], texts: &[Vec<u32>]) {
    let mut found = Divergence::default();
    for ids in texts {
        let [expected, logits] = [reference.logits(reference.values(), ids), model.logits(values, ids)];
        found.add(&expected, &logits, model.vocab(), ids);
    }
    let perplexity = found.perplexity();
    let rise = 100.0 * (perplexity / found.reference_perplexity() - 1.0);
    let (right, reference_right) = (100.0 * found.accuracy(), 100.0 * found.reference_accuracy());
    println!(
        "{name}: divergence {:.4}, perplexity {perplexity:.2} ({rise:+.1} %), same first {:.1} %, right {right:.2} % of \
         {reference_right:.2} % ({:+.1} %)",
        found.kl_mean(),
        100.0 * found.top_agreement(),
        100.0 * (right / reference_right - 1.0),
    );
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [original, quantised, text, test, rest @ ..] = arguments.as_slice() else {
        return Err("MODEL QUANTISED TUNE.txt TEST.txt [steps] [texts] [rate] [rate] [tokens]".into());
    };
    let number = |at: usize, otherwise: f64| rest.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let tuning = Tuning::new(number(0, 64.0) as u32);
    let tuning = Tuning {
        texts: number(1, tuning.texts.into()) as u32,
        scales_rate: number(2, tuning.scales_rate),
        gains_rate: number(3, tuning.gains_rate),
        ..tuning
    };
    let (original, quantised) = (open(original)?, open(quantised)?);
    let tokenizer = Tokenizer::from_documents(&original.documents)?;
    let texts = windows(&tokenizer, text, number(4, 65_536.0) as usize / WINDOW)?;
    let tests = windows(&tokenizer, test, TESTED)?;
    let student = pollster::block_on(Student::load(&quantised, WINDOW as u32))?;
    let reference = pollster::block_on(Student::load(&original, WINDOW as u32))?;
    tell("before", &reference, &student, student.values(), &tests);
    let threads = Arc::new(Threads(2));
    let mut device = Device::Cpu(CpuDevice::new(threads.clone()));
    let started = Instant::now();
    let whole = (texts.as_slice(), 0);
    let tuned =
        pollster::block_on(tune(&mut device, &original, &student, &tuning, whole, &*threads, None, &mut Silent))?;
    println!("{tuning:?}: {:?}, {:.0} s", tuned.report, started.elapsed().as_secs_f64());
    tell("after", &reference, &student, &tuned.values, &tests);
    Ok(())
}
