//! `quantize`: a model's weights in 2 to 6 bits, into a folder of their own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use clap::{Args, ValueEnum};
use hearth_engine::{
    Error,
    device::{CpuDevice, Device, GpuDevice, GpuOptions, Workers},
    file::{OpenedModel, open_model},
    quant::trellis::{Code, Codebook},
    runtime::ModelLocation,
    text::{EncodeOptions, Tokenizer},
};
use hearth_host::{ModelStore, physical_cores, worker_pool};
use hearth_quantizer::{
    GpuEncoder, Host, Options, Progress, Recipe,
    model::{Report, Tuned, allocate_bits, quantize_model},
    trellis::EncodesTiles,
    tune::Tuning,
};

use crate::{
    args::{self, Global},
    output::{Output, Stop, bytes},
};

/// See docs/quantization.md.
#[derive(Args)]
#[command(after_help = "An interrupted run goes on where it stopped when it is started again.\n\
    Examples: hearth quantize ./model --bits 3 --calibrate book.txt -o ./model-3bit\n          \
    hearth quantize ./model --bits 2 --tune 256 --calibrate book.txt -o ./model-2bit")]
pub struct Quantize {
    /// A model's folder in Hugging Face layout, or its name
    pub model: String,
    /// Bits for each weight of a linear layer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=6), required_unless_present_any = ["recipe", "target_bpw"])]
    pub bits: Option<u32>,
    /// How bits become weights; levels, of 2 bits, lose more than a trellis and are read several times as fast
    #[arg(long, value_enum, default_value_t = CodeName::Trellis, conflicts_with_all = ["recipe", "target_bpw"])]
    pub code: CodeName,
    /// Bits a weight of the linear layers together, scales included; each gets what it is worth, which is measured
    #[arg(long, value_name = "B", conflicts_with = "bits")]
    pub target_bpw: Option<f64>,
    /// A JSON file that says which tensors become what; with --target-bpw its rules are kept
    #[arg(long, value_name = "FILE", conflicts_with = "bits")]
    pub recipe: Option<PathBuf>,
    /// A text like those that the model will be used for, in UTF-8
    #[arg(long, value_name = "FILE")]
    pub calibrate: Option<PathBuf>,
    /// Tokens of it that are read [default: 65536, and 16384 with --fast]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tokens: Option<u32>,
    /// Tokens that the model sees at once
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=512))]
    pub window: u32,
    /// Several times as fast, for a little more loss: a smaller code and fewer tokens
    #[arg(long)]
    pub fast: bool,
    /// Steps in which scales and norms are tuned for the full model's answers [default: 64, and off with --fast]
    #[arg(long, value_name = "STEPS|off", value_parser = tuning_steps)]
    pub tune: Option<u32>,
    /// Leave matrices unrotated
    #[arg(long)]
    pub no_rotation: bool,
    /// What the rotation's signs begin with
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What `--code` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CodeName {
    /// TRELLIS2 to TRELLIS6
    Trellis,
    /// LEVELS2
    Levels,
}

/// No text is built in: one that is not like what the model will read costs more than it saves.
const NO_TEXT: &str = "--calibrate FILE is needed: a plain text like those that the model will be used for, in the same \
    languages (a book, articles, conversations, code); 30,000 words are plenty";

/// Tokens to calibrate on.
const TOKENS: u32 = 65_536;
const TOKENS_FAST: u32 = 16_384;
/// Steps of tuning.
const TUNING_STEPS: u32 = 64;
/// So many at most.
const TUNING_STEPS_MAX: u32 = 100_000;
/// Bits of a window with `--fast`: a sixteenth of the encoder's work.
const WINDOW_BITS_FAST: u32 = 12;

pub fn quantize(models: &ModelStore, args: &Quantize, global: &Global, output: &Output) -> Result<(), Stop> {
    let location = ModelLocation::from(models.find(&args.model)?);
    let opened = pollster::block_on(open_model(location.folder.as_ref(), location.file.as_deref()))?;
    let options = options(args)?;
    let texts = texts(args, &Tokenizer::from_documents(&opened.documents)?)?;
    let workers = worker_pool(global.threads().unwrap_or_else(physical_cores));
    let mut device = match global.device {
        args::Device::Gpu => Device::Gpu(pollster::block_on(GpuDevice::open(&GpuOptions::default()))?),
        _ => Device::Cpu(CpuDevice::new(Arc::clone(&workers))),
    };
    let encoder = encoder(args, global.device)?;
    fs::create_dir_all(&args.out).map_err(|error| Stop::io(args.out.display().to_string(), &error))?;
    let host = FolderHost { workers, encoder, folder: args.out.clone(), output: *output, started: Instant::now() };
    watch()?;
    let report = pollster::block_on(async {
        let mut options = options;
        if let Some(bits) = args.target_bpw {
            options.recipe = allocated(&mut device, &opened, &options, &texts, &host, bits).await?;
        }
        quantize_model(&mut device, &opened, &options, &texts, &host).await
    });
    output.end_progress();
    if let Some(fault) = host.encoder.as_ref().and_then(GpuEncoder::fault) {
        output.remark(&format!("The GPU stopped encoding, and the CPU did the rest: {fault}"));
    }
    match report {
        Ok(report) => tell(&report, args, output, host.started.elapsed().as_secs_f64()),
        Err(Error::Cancelled) => {
            output.remark("What is done is kept; the same command goes on from there.");
            Err(Stop::Interrupted)
        }
        Err(error) => Err(error.into()),
    }
}

/// A GPU that encodes, which has no program on it. The bytes are the same with it and without, so if nobody chose a device
/// a real GPU does this part, and the CPU all that rounds as its own arithmetic does.
fn encoder(args: &Quantize, device: args::Device) -> Result<Option<GpuEncoder>, Stop> {
    let is_real = || pollster::block_on(GpuDevice::adapters()).first().is_some_and(|adapter| !adapter.is_software);
    let wanted = match device {
        args::Device::Gpu => true,
        args::Device::Auto => is_real(),
        args::Device::Cpu => false,
    };
    if !wanted || !args.fast {
        return Ok(None);
    }
    Ok(Some(GpuEncoder::new(pollster::block_on(GpuDevice::open(&GpuOptions::default()))?)))
}

/// The recipe that was measured, or that an interrupted run had measured.
async fn allocated(
    device: &mut Device,
    opened: &OpenedModel,
    options: &Options,
    texts: &[Vec<u32>],
    host: &FolderHost,
    bits: f64,
) -> hearth_engine::Result<Recipe> {
    let name = format!("recipe-{bits}bpw.json");
    if let Some(kept) = host.kept(&name)? {
        return Recipe::parse(&name, &String::from_utf8_lossy(&kept));
    }
    let recipe = allocate_bits(device, opened, options, texts, host, bits).await?;
    let text = serde_json::to_string_pretty(&recipe).map_err(|error| Error::malformed(&name, error))?;
    host.keep(&name, text.as_bytes())?;
    Ok(recipe)
}

fn options(args: &Quantize) -> Result<Options, Stop> {
    let recipe = match (&args.recipe, args.bits) {
        (Some(file), _) => Recipe::parse(&file.display().to_string(), &read(file)?)?,
        (None, Some(2)) if args.code == CodeName::Levels => Recipe::of_levels(),
        (None, Some(bits)) if args.code == CodeName::Levels => {
            return Err(
                Error::invalid("--code levels", format_args!("has 2 bits, and not {bits}; give --bits 2")).into()
            );
        }
        (None, Some(bits)) => Recipe::of_bits(bits)?,
        (None, None) => Recipe::of_bits((args.target_bpw.unwrap_or_default() as u32).clamp(2, 6))?,
    };
    let mut options = Options::new(recipe);
    if args.fast {
        options.code = Code::new(Codebook::default(), WINDOW_BITS_FAST)?;
    }
    options.rotates = !args.no_rotation;
    options.seed = args.seed;
    let asked = args.tune.or(options.recipe.tune);
    let steps = asked.unwrap_or(if args.fast { 0 } else { TUNING_STEPS });
    let is_required = asked.is_some();
    options.tuning = (steps > 0).then(|| Tuning { is_required, ..Tuning::new(steps) });
    Ok(options)
}

/// Steps of tuning, as a person writes them.
fn tuning_steps(text: &str) -> Result<u32, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(0);
    }
    let steps = text.parse().ok().filter(|steps| (1..=TUNING_STEPS_MAX).contains(steps));
    steps.ok_or_else(|| format!("must be off, or from 1 to {TUNING_STEPS_MAX}"))
}

fn read(file: &Path) -> Result<String, Stop> {
    fs::read_to_string(file).map_err(|error| Stop::io(file.display().to_string(), &error))
}

/// Windows of the text, spread over all of it; each begins as the model's texts do.
fn texts(args: &Quantize, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>, Stop> {
    let Some(file) = &args.calibrate else { return Err(Stop::Usage(NO_TEXT.to_owned())) };
    let text = read(file)?;
    let begin = tokenizer.encode("", EncodeOptions { parse_special: false, add_special: true })?;
    let ids = tokenizer.encode(&text, EncodeOptions { parse_special: false, add_special: false })?;
    let tokens = args.tokens.unwrap_or(if args.fast { TOKENS_FAST } else { TOKENS }) as usize;
    let begin = begin.get(..begin.len().min(1)).unwrap_or_default();
    let window = (args.window as usize).saturating_sub(begin.len()).max(1);
    let windows: Vec<&[u32]> = ids.chunks(window).collect();
    let wanted = tokens.div_ceil(args.window as usize).clamp(1, windows.len().max(1));
    let chosen = (0..wanted).filter_map(|at| windows.get(at * windows.len() / wanted));
    Ok(chosen.map(|window| begin.iter().chain(*window).copied().collect()).collect())
}

fn tell(report: &Report, args: &Quantize, output: &Output, seconds: f64) -> Result<(), Stop> {
    if output.json {
        let mut line = serde_json::to_value(report).map_err(|error| Error::invalid("the output", error))?;
        line["seconds"] = seconds.into();
        return output.json(&line);
    }
    if output.verbose {
        for tensor in &report.tensors {
            let [rows, columns] = tensor.shape;
            let error = 100.0 * tensor.error;
            output.line(format!("{:9} {rows:6} x {columns:<6} {error:7.3} %  {}", tensor.format, tensor.tensor))?;
        }
    }
    match &report.tuning {
        Some(Tuned::Done(tuning)) => {
            let kept = if tuning.is_kept() { "" } else { ", which is no better, so all stayed as it was" };
            let (steps, before, after) = (tuning.steps, tuning.kl_before, tuning.kl_after);
            output.line(format!("tuned in {steps} steps: divergence {before:.4} before, {after:.4} after{kept}"))?;
        }
        Some(Tuned::Skipped(reason)) => output.remark(&format!("Not tuned: {reason}")),
        None => {}
    }
    output.line(format!(
        "{}: {}, {:.3} bits a weight; linear layers {:.3}",
        args.out.display(),
        bytes(report.bytes),
        report.model_bits,
        report.linear_bits
    ))
}

static STOPS: AtomicBool = AtomicBool::new(false);

/// The first Ctrl-C stops the run where it can go on later, the second the program.
fn watch() -> Result<(), Stop> {
    ctrlc::set_handler(|| {
        if STOPS.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Stop::io("the interrupt signal", &io::Error::other(error)))
}

/// A folder on a disk.
struct FolderHost {
    workers: Arc<dyn Workers>,
    encoder: Option<GpuEncoder>,
    folder: PathBuf,
    output: Output,
    started: Instant,
}

impl FolderHost {
    fn refused(&self, name: &str, error: &io::Error) -> Error {
        Error::Io { file: self.folder.join(name).display().to_string(), reason: error.to_string() }
    }
}

impl Host for FolderHost {
    fn workers(&self) -> &dyn Workers {
        &*self.workers
    }

    fn encoder(&self) -> Option<&dyn EncodesTiles> {
        self.encoder.as_ref().map(|encoder| encoder as &dyn EncodesTiles)
    }

    fn kept(&self, name: &str) -> hearth_engine::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.refused(name, &error)),
        }
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> hearth_engine::Result<()> {
        // Under its own name a file is whole, whenever the machine stops.
        let beside = self.folder.join(format!("{name}.part"));
        let written = fs::File::create(&beside).and_then(|mut file| {
            io::Write::write_all(&mut file, bytes)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&beside, self.folder.join(name))).map_err(|error| self.refused(name, &error))
    }

    fn forget(&self, name: &str) -> hearth_engine::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.refused(name, &error)),
            _ => Ok(()),
        }
    }

    fn progress(&self, progress: &Progress) {
        let Progress { stage, done, total } = progress;
        let part = *done as f64 / (*total).max(1) as f64;
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = if part > 0.0 { format!(", {} left", time(elapsed * (1.0 - part) / part)) } else { String::new() };
        self.output.progress(&format!("{:3.0} %{left} · {stage}", 100.0 * part));
        if self.output.json && self.output.verbose {
            // A reader that went away is noticed when the result is written.
            let _ = self.output.json(progress);
        }
    }

    fn is_cancelled(&self) -> bool {
        STOPS.load(Ordering::Relaxed)
    }
}

/// Seconds for a person.
fn time(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
