//! What a model is and what it needs, from its headers alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Platform, description, loading, probing};
use crate::{
    Error, Result,
    error::human_bytes,
    file::{Catalog, Documents, OpenedModel, survey_model},
    memory::Planner,
    model::{EmbedderConfig, ModelConfig, PREFILL_TOKENS_MAX, SentenceConfig},
    profile,
    protocol::{
        AdapterReport, DeviceChoice, Failure, FileReport, Fit, FitReport, FormatReport, InspectRequest, Layout,
        MemoryPlan, ModelReport, ModelTask, Outlook, TensorReport, TokenizerReport,
    },
    text::{ChatTemplate, Tokenizer},
};

/// The shortest context for which a plan is shown, if the model was made for more.
const SHORTEST_TOKENS: u32 = 512;

/// Looks at a model. What keeps it from running is part of the report; only a model whose headers cannot be read at all
/// is a failure. `freed_bytes` is what a model takes that makes room before another is loaded.
pub async fn inspect(platform: &dyn Platform, request: &InspectRequest, freed_bytes: u64) -> Result<ModelReport> {
    let location = platform.find_model(&request.model).await?;
    let opened = survey_model(&*location.folder, location.file.as_deref()).await?;
    let mut report = describe(location.name, &opened, request.tensors);
    let machine = Machine::look(platform, freed_bytes).await;
    match outlooks(&opened, request, &machine) {
        Ok(found) => {
            report.tasks = vec![found.task];
            report.context_tokens = Some(found.context_tokens);
            report.context_tokens_max = found.context_tokens_max;
            report.outlooks = found.outlooks;
        }
        // A wish that cannot be met is the person's to correct; it says nothing about the model.
        Err(error @ Error::InvalidRequest { .. }) => return Err(error),
        Err(error) => report.unsupported = Some(Failure::from(&error)),
    }
    match Tokenizer::from_documents(&opened.documents) {
        Ok(tokenizer) => report.tokenizer.tokens = u32::try_from(tokenizer.vocab_size()).ok(),
        Err(error) => {
            report.unsupported.get_or_insert(Failure::from(&error));
            report.tasks.clear();
        }
    }
    Ok(report)
}

/// What can be said of any model.
fn describe(model: String, opened: &OpenedModel, with_tensors: bool) -> ModelReport {
    let OpenedModel { catalog, documents, .. } = opened;
    let (formats, parameters, weights_bytes) = formats(catalog);
    let bits = weights_bytes as f64 * 8.0;
    ModelReport {
        model,
        layout: match documents {
            Documents::HuggingFace { .. } => Layout::Safetensors,
            Documents::Gguf { .. } => Layout::Gguf,
        },
        files: catalog
            .sources
            .iter()
            .map(|source| FileReport { name: source.name().to_owned(), bytes: source.len_bytes() })
            .collect(),
        about: description::about(documents),
        architecture: description::architecture(documents),
        unsupported: None,
        tasks: Vec::new(),
        parameters,
        weights_bytes,
        bits_per_weight: if parameters == 0 { 0.0 } else { bits / parameters as f64 },
        linear_bits_per_weight: catalog.linear_bits_per_weight(),
        formats,
        shape: description::shape(documents),
        tokenizer: TokenizerReport { kind: description::tokenizer_kind(documents), tokens: None },
        // A template that cannot be read is as good as none; a load says what is wrong with it.
        template: ChatTemplate::from_documents(documents).ok().flatten().as_ref().map(description::template),
        context_tokens: None,
        outlooks: Vec::new(),
        context_tokens_max: None,
        tensors: if with_tensors { tensors(catalog) } else { Vec::new() },
    }
}

/// How the weights are stored, and the sums over all formats: weights and bytes.
fn formats(catalog: &Catalog) -> (Vec<FormatReport>, u64, u64) {
    let mut by_name: BTreeMap<&str, FormatReport> = BTreeMap::new();
    let known = catalog.tensors.values().map(|t| (t.format.name(), true, t.elements(), t.len_bytes));
    let unknown = catalog.unsupported.iter().map(|t| (t.format.as_str(), false, t.elements(), t.len_bytes));
    for (format, is_supported, parameters, bytes) in known.chain(unknown) {
        let sum = by_name.entry(format).or_insert_with(|| FormatReport {
            format: format.to_owned(),
            is_supported,
            tensors: 0,
            parameters: 0,
            bytes: 0,
        });
        sum.tensors += 1;
        sum.parameters = sum.parameters.saturating_add(parameters);
        sum.bytes = sum.bytes.saturating_add(bytes);
    }
    let mut formats: Vec<FormatReport> = by_name.into_values().collect();
    formats.sort_by_key(|format| std::cmp::Reverse(format.bytes));
    let total = |part: fn(&FormatReport) -> u64| formats.iter().map(part).fold(0, u64::saturating_add);
    let (parameters, bytes) = (total(|format| format.parameters), total(|format| format.bytes));
    (formats, parameters, bytes)
}

/// Every tensor, in the order of the names.
fn tensors(catalog: &Catalog) -> Vec<TensorReport> {
    let known = catalog.tensors.values().map(|tensor| TensorReport {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        format: tensor.format.name().to_owned(),
        bytes: tensor.len_bytes,
    });
    let unknown = catalog.unsupported.iter().map(|tensor| TensorReport {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        format: tensor.format.clone(),
        bytes: tensor.len_bytes,
    });
    let mut all: Vec<TensorReport> = known.chain(unknown).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// What is known of the devices' memory.
struct Machine {
    /// What is free once the model in use has made room; 0 if nobody knows.
    available_bytes: u64,
    freed_bytes: u64,
    cpu: String,
    adapter: Option<AdapterReport>,
    absence: String,
    /// What a load that leaves the choice of a device to the engine gives it at once.
    batch_tokens: u32,
}

impl Machine {
    async fn look(platform: &dyn Platform, freed_bytes: u64) -> Self {
        let (adapters, absence) = probing::adapters(platform).await;
        // The one that a load would take if a GPU were asked for.
        let chosen = profile::choose(DeviceChoice::Gpu, &adapters, &absence).ok().and_then(|choice| choice.adapter);
        let usual = profile::choose(DeviceChoice::Auto, &adapters, &absence);
        let cpu = platform.cpu();
        let (available_bytes, freed_bytes) = match platform.memory().available_bytes {
            0 => (0, 0),
            free_bytes => (free_bytes.saturating_add(freed_bytes), freed_bytes),
        };
        Self {
            available_bytes,
            freed_bytes,
            cpu: if cpu.name.is_empty() { cpu.simd } else { cpu.name },
            adapter: chosen.and_then(|index| adapters.into_iter().nth(index)),
            absence,
            batch_tokens: usual.as_ref().map_or(PREFILL_TOKENS_MAX, loading::batch_tokens),
        }
    }

    fn cpu(&self, plan: &MemoryPlan, fitting: Option<u32>) -> FitReport {
        let (needed, context) = (human_bytes(plan.total_bytes), plan.context_tokens);
        let freed = if self.freed_bytes > 0 { " once the model in use has made room" } else { "" };
        let free = format!("{} are free{freed}", human_bytes(self.available_bytes));
        let (fit, reason) = if cfg!(target_arch = "wasm32") && plan.total_bytes > u64::from(u32::MAX) {
            (
                Fit::TooLarge,
                format!("{needed} are needed, but WebAssembly holds at most 4 GiB; a native route holds more"),
            )
        } else if self.available_bytes == 0 {
            let reason = format!("{needed} are needed with {context} tokens of context; how much is free is not known");
            (Fit::Unknown, reason)
        } else if plan.total_bytes <= self.available_bytes {
            (Fit::Fits, format!("{needed} are needed with {context} tokens of context, and {free}"))
        } else {
            let way = match fitting {
                Some(tokens) => format!("; {tokens} tokens of context would fit"),
                None => "; the weights alone leave no room for a conversation".to_owned(),
            };
            let reason = format!("{needed} are needed with {context} tokens of context, but {free}{way}");
            (Fit::TooLarge, reason)
        };
        let Self { available_bytes, freed_bytes, .. } = *self;
        let device = self.cpu.clone();
        FitReport { fit, device, needed_bytes: plan.total_bytes, available_bytes, freed_bytes, reason }
    }

    fn gpu(&self, plan: &MemoryPlan, fitting: Option<u32>) -> FitReport {
        let needed_bytes = plan.total_bytes;
        let Some(adapter) = &self.adapter else {
            let reason = self.absence.clone();
            return FitReport {
                fit: Fit::NoDevice,
                device: String::new(),
                needed_bytes,
                available_bytes: 0,
                freed_bytes: 0,
                reason,
            };
        };
        let largest = plan.largest_buffer_bytes;
        let limit = adapter.limits.max_storage_binding_bytes.min(adapter.limits.max_buffer_bytes);
        let device = adapter.name.clone();
        if limit > 0 && largest > limit {
            let (largest, limit) = (human_bytes(largest), human_bytes(limit));
            let reason =
                format!("one buffer of {largest} is needed, but the GPU takes {limit} at most; choose less context");
            return FitReport { fit: Fit::TooLarge, device, needed_bytes, available_bytes: 0, freed_bytes: 0, reason };
        }
        if adapter.is_software {
            // A GPU that is played in software has the machine's memory.
            return FitReport { device, ..self.cpu(plan, fitting) };
        }
        let needed = human_bytes(needed_bytes);
        let reason =
            format!("{needed} are needed; a GPU does not say how much it has free, loading shows whether it suffices");
        FitReport { fit: Fit::Unknown, device, needed_bytes, available_bytes: 0, freed_bytes: 0, reason }
    }
}

/// What [`inspect`] finds out about a model that can run.
struct Found {
    task: ModelTask,
    context_tokens: u32,
    context_tokens_max: Option<u32>,
    outlooks: Vec<Outlook>,
}

/// Plans for several lengths of context; an error is why the model cannot run.
fn outlooks(opened: &OpenedModel, request: &InspectRequest, machine: &Machine) -> Result<Found> {
    let wanted = request.context_tokens;
    // As a load goes about it: what makes no vectors is there to continue texts.
    let embedder = EmbedderConfig::find(opened)?;
    opened.catalog.check_supported()?;
    match embedder {
        Some(config) => {
            let sentence = SentenceConfig::read(opened, &config)?;
            let planner = Planner::of_embedder(&config, &sentence, &opened.catalog);
            plan_lengths(ModelTask::Embed, planner, wanted, machine)
        }
        None => {
            let config = ModelConfig::read(&opened.documents)?;
            let planner = Planner::new(&config, &opened.catalog, false).with_batches(machine.batch_tokens);
            let planner = planner.with_kv_cache(request.kv_cache);
            plan_lengths(ModelTask::Generate, planner, wanted, machine)
        }
    }
}

fn plan_lengths(task: ModelTask, mut planner: Planner<'_>, wanted: Option<u32>, machine: &Machine) -> Result<Found> {
    let made_for = planner.made_for();
    let context_tokens = planner.choose_context(wanted, machine.available_bytes)?;
    let context_tokens_max = match machine.available_bytes {
        0 => None,
        available_bytes => planner.context_that_fits(available_bytes)?,
    };
    let powers = (0..32).map(|power| 1u32 << power);
    let mut lengths: BTreeSet<u32> = powers.filter(|length| (SHORTEST_TOKENS..made_for).contains(length)).collect();
    lengths.extend([context_tokens, made_for]);
    lengths.extend(context_tokens_max);
    let mut outlooks = Vec::new();
    for length in lengths {
        let memory = planner.plan(length)?;
        outlooks.push(Outlook {
            memory,
            cpu: machine.cpu(&memory, context_tokens_max),
            gpu: machine.gpu(&memory, context_tokens_max),
        });
    }
    Ok(Found { task, context_tokens, context_tokens_max, outlooks })
}
