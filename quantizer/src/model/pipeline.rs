//! From a model's files to the files of its quantised model, a part at a time.
//!
//! Parts are the table of embeddings, each layer, and what stands behind them. A layer is rounded for what it reads
//! when all before it is rounded already, stage by stage, so later stages make up for earlier ones. A part is kept as
//! soon as it is done: a run that finds it there reads it and goes on.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    device::Device,
    file::{Documents, OpenedModel, TensorInfo},
    model::{ModelConfig, Naming, Role},
    tensor::Format,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    calibration::Layers,
    folding::Folding,
    report::{Report, TensorReport, Tuned},
    shards::{self, Stored},
};
use crate::options::{Host, Options, Progress};

/// What a run leaves behind while it is not done.
const JOURNAL: &str = "quantize.journal.json";

/// How the run stands.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Journal {
    fingerprint: String,
    /// Of the finished parts.
    parts: BTreeMap<usize, Vec<TensorReport>>,
    /// What tuning did, when it is done with.
    #[serde(default)]
    tuning: Option<Tuned>,
}

/// A run.
pub(super) struct Job<'a> {
    pub opened: &'a OpenedModel,
    pub options: &'a Options,
    pub host: &'a dyn Host,
    pub layers: Layers,
    pub folding: Folding,
    pub texts: &'a [Vec<u32>],
    pub progress: Progress,
    journal: Journal,
    /// Of each part: bytes of all tensors.
    bytes: u64,
    /// Which file holds which tensor.
    files: BTreeMap<String, String>,
    config_text: &'a str,
}

/// Quantises a model in Hugging Face layout into the host's folder, calibrated on texts of token numbers.
pub async fn quantize_model(
    device: &mut Device,
    opened: &OpenedModel,
    options: &Options,
    texts: &[Vec<u32>],
    host: &dyn Host,
) -> Result<Report> {
    let mut job = Job::new(opened, options, texts, host)?;
    let tokens: usize = texts.iter().map(Vec::len).sum();
    job.tell(&format!("reading {tokens} tokens"), 0);
    if !job.take_whole()? {
        let mut streams = job.embeddings(device).await?;
        for layer in 0..job.layers.count() {
            job.layer(device, layer, &mut streams).await?;
        }
        job.rest(&streams).await?;
    }
    job.tune(device).await?;
    job.finish()
}

impl<'a> Job<'a> {
    fn new(opened: &'a OpenedModel, options: &'a Options, texts: &'a [Vec<u32>], host: &'a dyn Host) -> Result<Self> {
        let Documents::HuggingFace { config: config_text, .. } = &opened.documents else {
            let reason = "is a GGUF; give the folder that its publisher made it from";
            return Err(Error::invalid("the model", reason));
        };
        let config = ModelConfig::read(&opened.documents)?;
        if opened.catalog.is_quantised() {
            return Err(Error::invalid("the model", "is quantised already; give the one that it was made of"));
        }
        if config.naming != Naming::HuggingFace || config.experts.is_some() {
            return Err(Error::invalid("the model", "has experts, which cannot be quantised yet"));
        }
        let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
        if longest == 0 {
            return Err(Error::invalid("the text", "has no tokens to calibrate on"));
        }
        if let Some(id) = texts.iter().flatten().find(|id| **id >= config.vocab_size) {
            let reason = format!("made token {id}, but the model knows {}", config.vocab_size);
            return Err(Error::Tokenizer { reason });
        }
        let folding = if options.rotates { Folding::of(&config, options.seed) } else { Folding::default() };
        let layers = Layers::new(config, &opened.catalog, u32::try_from(longest).unwrap_or(u32::MAX))?;
        if host.kept("config.json")?.is_some() {
            return Err(Error::invalid("the output", "holds a model already; choose another folder, or remove it"));
        }
        let fingerprint = fingerprint(opened, config_text, options, texts)?;
        let journal = match host.kept(JOURNAL)? {
            Some(bytes) => {
                let journal: Journal =
                    serde_json::from_slice(&bytes).map_err(|error| Error::malformed(JOURNAL, error))?;
                if journal.fingerprint != fingerprint {
                    let reason = "holds what another run with other options began; choose another folder, or remove it";
                    return Err(Error::invalid("the output", reason));
                }
                journal
            }
            None => Journal { fingerprint, ..Journal::default() },
        };
        let total = opened.catalog.parameters();
        let progress = Progress { stage: String::new(), done: 0, total };
        let (bytes, files) = (0, BTreeMap::new());
        let mut job =
            Self { opened, options, host, layers, folding, texts, progress, journal, bytes, files, config_text };
        job.progress.total += job.tuning_total();
        Ok(job)
    }

    pub fn config(&self) -> &ModelConfig {
        &self.layers.model.config
    }

    /// Says what comes next, and that so many weights are done.
    pub fn tell(&mut self, stage: &str, done: u64) {
        self.progress.done += done;
        stage.clone_into(&mut self.progress.stage);
        self.host.progress(&self.progress);
    }

    pub fn check_cancelled(&self) -> Result<()> {
        if self.host.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// What a matrix becomes; None if it is to stay or its rows are no whole blocks.
    pub fn format_of(&self, tensor: &TensorInfo, is_table: bool) -> Result<Option<Format>> {
        let format = self.options.recipe.format_of(&tensor.name, is_table)?;
        Ok(format.filter(|format| tensor.shape.len() == 2 && format.row_bytes(tensor.columns()).is_some()))
    }

    /// What is said about a matrix that was rounded.
    pub fn report_of(
        &self,
        tensor: &TensorInfo,
        format: Format,
        is_table: bool,
        stored: &Stored,
        error: f64,
    ) -> TensorReport {
        TensorReport {
            tensor: tensor.name.clone(),
            format: format.name().to_owned(),
            shape: [tensor.rows() as usize, tensor.columns() as usize],
            is_table,
            bytes: stored.bytes.len() as u64,
            // As a journal gives it back, to the last bit.
            error: (error * 1e9).round() / 1e9,
        }
    }

    pub fn parts(&self) -> usize {
        self.layers.count() + 2
    }

    /// Whether all parts were finished by an earlier run, which are noted then: no layer need be run again.
    fn take_whole(&mut self) -> Result<bool> {
        if self.journal.parts.len() < self.parts() {
            return Ok(false);
        }
        for part in 0..self.parts() {
            if self.kept(part)?.is_none() {
                self.forget_sizes();
                return Ok(false);
            }
        }
        self.tell("layers, as they were kept", self.opened.catalog.parameters());
        Ok(true)
    }

    /// A part that an earlier run finished.
    pub fn kept(&mut self, part: usize) -> Result<Option<BTreeMap<String, Stored>>> {
        let name = shards::name(part, self.parts());
        match self.host.kept(&name)? {
            Some(bytes) if self.journal.parts.contains_key(&part) => {
                let tensors = shards::from_bytes(&name, &bytes)?;
                self.note(&name, &tensors);
                Ok(Some(tensors))
            }
            _ => Ok(None),
        }
    }

    /// Keeps a part that is done.
    pub fn keep(&mut self, part: usize, tensors: &BTreeMap<String, Stored>, reports: Vec<TensorReport>) -> Result<()> {
        let name = shards::name(part, self.parts());
        self.host.keep(&name, &shards::to_bytes(tensors)?)?;
        self.journal.parts.insert(part, reports);
        self.keep_journal()?;
        self.note(&name, tensors);
        Ok(())
    }

    fn keep_journal(&self) -> Result<()> {
        let journal = serde_json::to_vec(&self.journal).map_err(|error| Error::malformed(JOURNAL, error))?;
        self.host.keep(JOURNAL, &journal)
    }

    /// What tuning did, when it is done with.
    pub fn tuned(&self) -> Option<&Tuned> {
        self.journal.tuning.as_ref()
    }

    /// Notes that tuning is done with.
    pub fn set_tuned(&mut self, tuned: Tuned) -> Result<()> {
        self.journal.tuning = Some(tuned);
        self.keep_journal()
    }

    /// Forgets which tensors were noted.
    pub fn forget_sizes(&mut self) {
        self.bytes = 0;
        self.files.clear();
    }

    pub fn note(&mut self, file: &str, tensors: &BTreeMap<String, Stored>) {
        for (name, stored) in tensors {
            self.bytes += stored.bytes.len() as u64;
            self.files.insert(name.clone(), file.to_owned());
        }
    }

    /// What a finished part says of a tensor.
    pub fn format_in(&self, part: usize, tensor: &str) -> Option<&TensorReport> {
        self.journal.parts.get(&part)?.iter().find(|report| report.tensor == tensor)
    }

    /// Writes the documents, the configuration last: with it the folder is a model.
    fn finish(mut self) -> Result<Report> {
        self.tell("writing the configuration", 0);
        self.keep_json("model.safetensors.index.json", &self.index())?;
        for (name, bytes) in self.texts_beside() {
            self.host.keep(name, bytes)?;
        }
        self.keep_json("config.json", &self.config_json()?)?;
        self.forget_tuning()?;
        self.host.forget(JOURNAL)?;
        let tuning = self.journal.tuning.take();
        let tensors: Vec<TensorReport> = std::mem::take(&mut self.journal.parts).into_values().flatten().collect();
        let linear = tensors.iter().filter(|tensor| !tensor.is_table);
        let (bits, weights) = linear.fold((0, 0), |(bits, weights), tensor| {
            (bits + 8 * tensor.bytes, weights + (tensor.shape[0] * tensor.shape[1]) as u64)
        });
        let model_bits = 8.0 * self.bytes as f64 / self.opened.catalog.parameters() as f64;
        Ok(Report { linear_bits: bits as f64 / weights.max(1) as f64, model_bits, bytes: self.bytes, tensors, tuning })
    }

    /// Which file holds which tensor.
    pub fn index(&self) -> serde_json::Value {
        serde_json::json!({ "metadata": { "total_size": self.bytes }, "weight_map": self.files })
    }

    /// The model's configuration, with what was done to it.
    pub fn config_json(&self) -> Result<serde_json::Value> {
        let mut config: serde_json::Value =
            serde_json::from_str(self.config_text).map_err(|error| Error::malformed("config.json", error))?;
        config["quantization_config"] = self.quantization_config();
        Ok(config)
    }

    fn quantization_config(&self) -> serde_json::Value {
        let reports = self.journal.parts.values().flatten();
        let tensors: serde_json::Map<String, serde_json::Value> = reports
            .map(|report| {
                let entry = serde_json::json!({ "format": report.format, "shape": report.shape });
                (report.tensor.clone(), entry)
            })
            .collect();
        serde_json::json!({
            "quant_method": "hearth",
            "version": 1,
            "codebook": self.options.code.codebook.name(),
            "window_bits": self.options.code.window_bits(),
            "rotation": {
                "seed": self.options.seed,
                "residual": self.folding.residual.is_some(),
                "values": self.folding.values.is_some(),
                "down_block": self.folding.down.as_ref().map_or(0, |(_, block)| *block),
            },
            "tensors": tensors,
        })
    }

    /// The documents that a quantised model has in common with what it was made of.
    pub fn texts_beside(&self) -> Vec<(&'static str, &'a [u8])> {
        let Documents::HuggingFace {
            tokenizer,
            tokenizer_model,
            tokenizer_config,
            generation_config,
            special_tokens_map,
            chat_template,
            ..
        } = &self.opened.documents
        else {
            return Vec::new();
        };
        let texts = [
            ("tokenizer.json", tokenizer),
            ("tokenizer_config.json", tokenizer_config),
            ("generation_config.json", generation_config),
            ("special_tokens_map.json", special_tokens_map),
            ("chat_template.jinja", chat_template),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?.as_bytes())));
        texts.chain(tokenizer_model.as_ref().map(|bytes| ("tokenizer.model", bytes.as_slice()))).collect()
    }

    fn keep_json(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Error::malformed(name, error))?;
        self.host.keep(name, format!("{text}\n").as_bytes())
    }

    /// The name of a weight outside the layers, if the model has it.
    pub fn named(&self, role: Role) -> Option<&'a TensorInfo> {
        let config = self.config();
        let name = config.naming.weight(role, config.architecture.norms, 0);
        let bare = name.strip_prefix("model.").unwrap_or(&name);
        self.opened.catalog.tensors.get(&name).or_else(|| self.opened.catalog.tensors.get(bare))
    }
}

/// What decides which bytes come out.
fn fingerprint(opened: &OpenedModel, config: &str, options: &Options, texts: &[Vec<u32>]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(config);
    for tensor in opened.catalog.tensors.values() {
        hash.update(format!("{} {:?} {};", tensor.name, tensor.shape, tensor.format));
    }
    let recipe = serde_json::to_string(&options.recipe).map_err(|error| Error::malformed("the recipe", error))?;
    hash.update(recipe);
    let Options { code, rotates, seed, damping, tries_scales, tuning, .. } = options;
    hash.update(format!("{code:?} {rotates} {seed} {damping} {tries_scales} {tuning:?}"));
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(bytemuck::cast_slice::<u32, u8>(text));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
