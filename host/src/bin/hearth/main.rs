//! `hearth`, the command line. It links no GUI library.

mod args;
mod bench;
mod chat;
mod documents;
mod embed;
mod evaluate;
mod form;
mod inspect;
mod interrupt;
mod kv_cache;
mod models;
mod output;
mod probe;
mod pull;
mod quantize;
mod serve;
mod session;
mod store;
mod tokenize;
mod values;

use std::process::ExitCode;

use args::{Cli, Command, Device};
use clap::Parser;
use hearth_host::{EngineHandle, HostOptions, ModelStore, store::BlobStore};
use output::{Output, Stop};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    quieten_drivers();
    let cli = Cli::parse();
    start_log(cli.global.verbose);
    let output = Output::new(&cli.global);
    match run(&cli, &output) {
        // Whoever read the output has had enough of it.
        Ok(()) | Err(Stop::Closed) => ExitCode::SUCCESS,
        Err(Stop::Interrupted) => ExitCode::FAILURE,
        Err(Stop::Failed(failure)) => {
            output.failure(&failure);
            ExitCode::FAILURE
        }
        Err(Stop::Usage(message)) => {
            output.usage(&message);
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli, output: &Output) -> Result<(), Stop> {
    let global = &cli.global;
    let mut models = ModelStore::new(ModelStore::usual_folders(None)).allow_paths(true).allow_adding(true);
    if let Some(memory) = ModelStore::usual_memory() {
        models = models.remember_in(memory);
    }
    if let Some(folder) = BlobStore::usual_folder() {
        models = models.stored_in(folder);
    }
    // Who wants the CPU need not wait for a GPU's driver; `probe` shows what there is whatever is wanted.
    let gpu_allowed = global.device != Device::Cpu || matches!(cli.command, Command::Probe | Command::Inspect(_));
    let start = || -> Result<EngineHandle, Stop> {
        interrupt::watch()?;
        let options = HostOptions {
            models: models.clone(),
            threads: global.threads(),
            gpu_allowed,
            activations: global.activations(),
        };
        EngineHandle::start(options).map_err(|error| Stop::io("the engine's thread", &error))
    };
    match &cli.command {
        Command::Chat(chat) => chat::chat(&start()?, chat, global, output),
        Command::Complete(complete) => chat::complete(&start()?, complete, global, output),
        Command::Embed(embed) => {
            let texts = embed::texts(embed, global)?;
            embed::embed(&start()?, texts, embed, global, output)
        }
        Command::Documents(args) => documents::documents(args, global, output, start),
        Command::Tokenize(tokenize) => tokenize::tokenize(&models, tokenize, global, output),
        Command::Probe => probe::probe(&start()?, output),
        Command::Inspect(inspect) => inspect::inspect(&start()?, inspect, global, output),
        Command::Models { command } => models::models(command.as_ref(), output, start),
        Command::Pull(args) => pull::pull(args, &models, output),
        Command::Eval(args) => evaluate::eval(args, &models, global, output, start),
        Command::Quantize(args) => quantize::quantize(&models, args, global, output),
        Command::Bench(bench) => bench::bench(&start()?, bench, global, output),
        Command::Serve(serve) => serve::serve(models, serve, global, output),
    }
}

/// A layer of the Vulkan loader asks the desktop which GPU it prefers, and complains on stderr where there is no
/// desktop. The engine chooses by itself, so there the layer is not needed.
fn quieten_drivers() {
    #[cfg(target_os = "linux")]
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() && std::env::var_os("NODEVICE_SELECT").is_none() {
        // SAFETY: this is the first thing the program does; there is no other thread to read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Logs go to stderr: `RUST_LOG` says what, or else how often `-v` was given.
fn start_log(verbose: u8) {
    let level = match verbose {
        // Drivers warn about themselves; what matters to the person arrives as a failure.
        0 => "off,hearth=warn,hearth_host=warn,hearth_engine=warn",
        1 => "warn,hearth=info,hearth_host=info,hearth_engine=info",
        2 => "info,hearth=debug,hearth_host=debug,hearth_engine=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
}
