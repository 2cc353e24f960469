//! `pull`: downloads into the store; and `models repair`, which fetches single chunks again.

use std::time::Duration;

use clap::Args;
use hearth_host::{
    ModelStore,
    download::{self, Control, DownloadError, HUB, Pace, PullEvent, PullOptions, Source, Token},
    store::{BlobId, BlobStore, CHUNK_BYTES},
};
use serde_json::json;

use crate::{
    interrupt,
    output::{Output, Stop, bytes},
    store,
    values::byte_count,
};

#[derive(Args)]
#[command(
    after_help = "HF_TOKEN holds a token for private models; it is sent to --base-url alone. Proxies are taken from \
    HTTPS_PROXY and HTTP_PROXY.\n\
    Examples: hearth pull Qwen/Qwen3-0.6B\n          \
    hearth pull Qwen/Qwen3-0.6B-GGUF:Q8_0\n          \
    hearth pull https://models.example/tiny.gguf --limit-rate 10M"
)]
pub struct Pull {
    /// owner/repo, with @revision and :file or :part-of-a-name if wanted; addresses; or a name of the list
    #[arg(required = true, value_name = "NAME|REPO|URL")]
    what: Vec<String>,
    /// The name under which it is found [default: the repository's or the file's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The hash of the one file that is fetched
    #[arg(long, value_name = "HEX")]
    sha256: Option<BlobId>,
    /// Take files too whose hash nobody tells
    #[arg(long)]
    unverified: bool,
    /// Remove models that are not pinned, those first that were not used for longest, if there is no room otherwise
    #[arg(long)]
    make_room: bool,
    #[command(flatten)]
    network: Network,
}

/// How the network is used.
#[derive(Args)]
pub struct Network {
    /// What answers in the layout of the Hugging Face Hub [default: HF_ENDPOINT, or https://huggingface.co]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Another one with the same files, tried when one fails; may be repeated
    #[arg(long, value_name = "URL")]
    mirror: Vec<String>,
    /// The most that arrives in a second, as 500K or 10M
    #[arg(long, value_name = "SIZE", value_parser = byte_count)]
    limit_rate: Option<u64>,
    /// How many requests run at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    connections: u8,
    /// How many times in a row a request may fail
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// How long a chunk is that is kept or fetched again as one
    #[arg(long, value_name = "SIZE", value_parser = byte_count, hide = true)]
    chunk_size: Option<u64>,
    /// How much one request asks for
    #[arg(long, value_name = "SIZE", value_parser = byte_count, hide = true)]
    request_size: Option<u64>,
    /// How long the first wait after a failure is at most, in milliseconds
    #[arg(long, value_name = "MS", hide = true)]
    backoff_ms: Option<u64>,
}

impl Network {
    fn options(&self) -> Result<PullOptions, Stop> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = set("HF_TOKEN").map(|token| {
            Token::new(&token).ok_or_else(|| Stop::Usage("HF_TOKEN holds no token: it has spaces in it".to_owned()))
        });
        let default = PullOptions::default();
        let chunk_bytes = self.chunk_size.map_or(Some(CHUNK_BYTES), |bytes| u32::try_from(bytes).ok());
        let chunk_bytes = chunk_bytes.filter(|bytes| (1 << 10..=1 << 30).contains(bytes));
        let backoff_first_s =
            self.backoff_ms.map_or(default.pace.backoff_first_s, |ms| Duration::from_millis(ms).as_secs_f64());
        Ok(PullOptions {
            base_url: self.base_url.clone().or_else(|| set("HF_ENDPOINT")).unwrap_or_else(|| HUB.to_owned()),
            mirrors: self.mirror.clone(),
            token: token.transpose()?,
            connections: usize::from(self.connections),
            chunk_bytes: chunk_bytes.ok_or_else(|| Stop::Usage("a chunk has 1 KiB to 1 GiB".to_owned()))?,
            request_bytes: self.request_size.unwrap_or(default.request_bytes),
            limit_bytes_per_s: self.limit_rate.filter(|rate| *rate > 0),
            pace: Pace { attempts: self.attempts, backoff_first_s, ..default.pace },
            ..default
        })
    }
}

impl From<DownloadError> for Stop {
    fn from(error: DownloadError) -> Self {
        Self::Failed((&error).into())
    }
}

pub fn pull(args: &Pull, models: &ModelStore, output: &Output) -> Result<(), Stop> {
    let store = store::open()?;
    let source = source(&args.what, models, &store)?;
    let options = PullOptions {
        name: args.name.clone(),
        sha256: args.sha256,
        allows_unverified: args.unverified,
        makes_room: args.make_room,
        ..args.network.options()?
    };
    let control = watch()?;
    let model = download::pull(&store, &source, &options, &control, &|event| show(&event, output))?;
    output.end_progress();
    if output.json {
        return output.json(&json!({ "type": "pulled", "model": model }));
    }
    let name = &model.manifest.name;
    output.line(format!("{name} is in the store, {}: `hearth chat --model {name}` talks with it", bytes(model.bytes)))
}

pub fn repair(name: &str, network: &Network, output: &Output) -> Result<(), Stop> {
    let store = store::open()?;
    let control = watch()?;
    let tell = |event: PullEvent| show(&event, output);
    let mended_bytes = download::repair(&store, name, &network.options()?, &control, &tell)?;
    output.end_progress();
    if output.json {
        return output.json(&json!({ "type": "repaired", "model": name, "fetched_bytes": mended_bytes }));
    }
    output.line(format!("{name} is whole; {} were fetched", bytes(mended_bytes)))
}

fn watch() -> Result<Control, Stop> {
    let control = Control::default();
    let stops = control.clone();
    interrupt::watch_with(move || stops.cancel())?;
    Ok(control)
}

/// What a person wrote: a name stands for where its model came from, or for what the list says of it.
fn source(what: &[String], models: &ModelStore, store: &BlobStore) -> Result<Source, Stop> {
    let [name] = what else { return Ok(Source::parse(what)?) };
    if name.contains('/') {
        return Ok(Source::parse(what)?);
    }
    if let Some(model) = store.models()?.into_iter().find(|model| model.manifest.name == *name) {
        let unknown = || DownloadError::BadSource { what: name.clone(), reason: "it was imported".to_owned() };
        return Ok(Source::from_id(&model.manifest.source).ok_or_else(unknown)?);
    }
    let known = models.registry()?.models.into_iter().find(|entry| entry.name == *name);
    let reason = match known {
        Some(entry) => match entry.source {
            Some(source) => return Ok(Source::parse(&[source])?),
            None => "it is on this machine already",
        },
        None => "no model of the list has that name",
    };
    Err(DownloadError::BadSource { what: name.clone(), reason: reason.to_owned() }.into())
}

fn show(event: &PullEvent, output: &Output) {
    if output.json {
        // A program that stops reading is noticed at the end.
        let _ = output.json(event);
        return;
    }
    match event {
        PullEvent::Planned { files, total_bytes, held_bytes } => {
            let here =
                if *held_bytes > 0 { format!(", {} of it here already", bytes(*held_bytes)) } else { String::new() };
            output.remark(&format!("{files} files, {}{here}", bytes(*total_bytes)));
        }
        PullEvent::Progress { file, done_bytes, total_bytes, bytes_per_s, left_s } => {
            let left = left_s.map_or(String::new(), |left_s| format!(", {} left", span(left_s)));
            let (done, total, rate) = (bytes(*done_bytes), bytes(*total_bytes), bytes(*bytes_per_s as u64));
            output.progress(&format!("{file}: {done} of {total}, {rate}/s{left}"));
        }
        PullEvent::Checked { .. } => {}
        PullEvent::Retry { file, reason, wait_s } => {
            output.progress(&format!("{file}: {reason}; next attempt in {wait_s:.0} s"));
        }
        PullEvent::Anew { file, reason } => output.warning(&format!("{file} is fetched from its beginning: {reason}")),
        PullEvent::Waiting { file } => output.progress(&format!("{file}: another hearth is at it; waiting")),
        PullEvent::MadeRoom { models } => output.warning(&format!("removed to make room: {}", models.join(", "))),
    }
}

/// A span for a person.
fn span(seconds: f64) -> String {
    let seconds = seconds.min(1e9) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}
