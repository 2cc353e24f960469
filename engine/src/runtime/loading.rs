//! From a model's name to a model that is ready.

use std::cell::OnceCell;

use super::{Emit, ModelLocation, Ready, Runtime, Slot, probing};
use crate::{
    Error, Result,
    decode::{LoadProgress, Session, SessionOptions},
    device::{CPU_PREFILL_TOKENS, CpuDevice, Device, GpuDevice, GpuOptions, SimdLevel},
    file::{OpenedModel, open_model},
    memory::{self, Planner, components, placed_plan, streaming_words},
    model::{EmbedderConfig, ModelConfig, PREFILL_TOKENS_MAX},
    plan::Placement,
    profile::{self, Choice},
    protocol::{DeviceChoice, Event, LoadRequest, LoadStage, Loaded, Loading, MemoryUse, ModelTask, Route},
    text::{ChatTemplate, Tokenizer},
};

/// What is said of a model without a chat template.
const NO_TEMPLATE: &str = "This model brings no chat template, so it was hardly made to chat: the conversation is \
    written for it as lines that begin with \"User:\" and \"Assistant:\", and an answer ends where it begins such a \
    line itself. Do not expect it to follow instructions.";

/// How a loading is followed.
pub(super) struct Report<'a> {
    /// When it began.
    pub started_ms: f64,
    /// Called after every piece; its error stops the loading.
    pub progress: &'a mut dyn FnMut(LoadProgress) -> Result<()>,
}

impl Runtime {
    /// Loads a model in place of the one before, which is freed first: two need not fit.
    pub(super) async fn load(
        &self,
        id: u32,
        request: LoadRequest,
        scoring: bool,
        emit: &mut Emit<'_>,
    ) -> Result<Loaded> {
        self.clear()?;
        self.put(Slot::Busy);
        match self.load_anew(id, request, scoring, emit).await {
            Ok((slot, loaded)) => {
                self.put(slot);
                Ok(loaded)
            }
            Err(error) => {
                self.put(Slot::Empty);
                Err(error)
            }
        }
    }

    async fn load_anew(
        &self,
        id: u32,
        request: LoadRequest,
        scoring: bool,
        emit: &mut Emit<'_>,
    ) -> Result<(Slot, Loaded)> {
        let started_ms = self.platform.now_ms();
        let mut report = |stage, progress: LoadProgress| {
            let elapsed_ms = self.platform.now_ms() - started_ms;
            let LoadProgress { done_bytes, total_bytes } = progress;
            let listening = emit(Event::Loading(Loading { stage, done_bytes, total_bytes, elapsed_ms }));
            if !listening || self.cancellations.is_requested(id) { Err(Error::Cancelled) } else { Ok(()) }
        };
        report(LoadStage::Opening, LoadProgress::default())?;
        let ModelLocation { name, folder, file } = self.platform.find_model(&request.model).await?;
        let opened = open_model(&*folder, file.as_deref()).await?;
        let embedder = EmbedderConfig::find(&opened)?;
        let total_bytes = opened.catalog.weights_bytes();
        report(LoadStage::Weights, LoadProgress { done_bytes: 0, total_bytes })?;
        let mut progress = |progress| report(LoadStage::Weights, progress);
        let mut report = Report { started_ms, progress: &mut progress };
        Ok(match embedder {
            Some(config) => {
                let ready = self.load_embedder(name, &opened, config, &request, &mut report).await?;
                let loaded = ready.loaded.clone();
                (Slot::Embedder(Box::new(ready)), loaded)
            }
            None => {
                let ready = self.load_decoder(name, &opened, request, scoring, &mut report).await?;
                let loaded = ready.loaded.clone();
                (Slot::Ready(Box::new(ready)), loaded)
            }
        })
    }

    async fn load_decoder(
        &self,
        name: String,
        opened: &OpenedModel,
        request: LoadRequest,
        scoring: bool,
        report: &mut Report<'_>,
    ) -> Result<Ready> {
        let config = ModelConfig::read(&opened.documents)?;
        let tokenizer = Tokenizer::from_documents(&opened.documents)?;
        let mut template = match ChatTemplate::from_documents(&opened.documents)? {
            Some(template) => template,
            None => ChatTemplate::transcript(&tokenizer.beginning()),
        };
        template.set_now(self.platform.local_time());
        let (session, choice) = self
            .open_on(request.device, async |choice| {
                self.open_session(choice, &request, opened, &config, scoring, &mut *report.progress).await
            })
            .await?;
        let loaded = Loaded {
            model: name,
            architecture: config.architecture.name.to_owned(),
            tasks: vec![ModelTask::Generate],
            parameters: opened.catalog.parameters(),
            weights_bytes: opened.catalog.weights_bytes(),
            context_tokens: session.context_tokens(),
            has_chat_template: !template.is_transcript(),
            notice: notice(&template, &session),
            route: route(choice.adapter.is_some()),
            adapter: session.device().name(),
            reason: choice.reason,
            load_ms: self.platform.now_ms() - report.started_ms,
            memory: Some(memory_use(&session, &config, opened, &request, choice.adapter.is_some())?),
        };
        Ok(Ready { session, tokenizer, template, grammars: OnceCell::new(), request, loaded })
    }

    /// Opens something on the device that was asked for; if the choice was free and the GPU is to blame for a failure,
    /// on the CPU.
    pub(super) async fn open_on<T>(
        &self,
        wanted: DeviceChoice,
        mut open: impl AsyncFnMut(&Choice) -> Result<T>,
    ) -> Result<(T, Choice)> {
        let (adapters, absence) = probing::adapters(&*self.platform).await;
        let mut choice = profile::choose(wanted, &adapters, &absence)?;
        let mut opened = open(&choice).await;
        if let (Err(error), DeviceChoice::Auto, Some(_)) = (&opened, wanted, choice.adapter)
            && gpu_is_to_blame(error)
        {
            choice = Choice { adapter: None, reason: format!("the GPU could not be used: {error}") };
            opened = open(&choice).await;
        }
        Ok((opened?, choice))
    }

    /// The chosen device, still empty.
    pub(super) async fn open_device(&self, choice: &Choice) -> Result<Device> {
        let mut device = self.open_cold_device(choice).await?;
        if let Device::Gpu(gpu) = &mut device {
            self.give_pipelines(gpu);
        }
        Ok(device)
    }

    /// The same, without what it compiled before.
    pub(super) async fn open_cold_device(&self, choice: &Choice) -> Result<Device> {
        Ok(match choice.adapter {
            Some(adapter) => {
                let page = self.platform.page_adapter();
                let options = GpuOptions { adapter: Some(adapter), page, ..GpuOptions::default() };
                let mut device = GpuDevice::open(&options).await?;
                device.take_pipelines(None);
                device.compile_with(self.platform.workers());
                Device::Gpu(device)
            }
            None => {
                let (workers, activations) = (self.platform.workers(), self.platform.activations());
                Device::Cpu(CpuDevice::with(workers, SimdLevel::detect(), activations))
            }
        })
    }

    async fn open_session(
        &self,
        choice: &Choice,
        request: &LoadRequest,
        opened: &OpenedModel,
        config: &ModelConfig,
        scoring: bool,
        progress: &mut dyn FnMut(LoadProgress) -> Result<()>,
    ) -> Result<Session> {
        // Only the CPU's memory is known beforehand; a GPU refuses what it cannot hold.
        let available_bytes = match (choice.adapter, self.platform.memory().available_bytes) {
            (Some(_), _) => 0,
            // A browser does not tell what is free, but WebAssembly's addresses end at 4 GiB.
            (None, 0) if cfg!(target_arch = "wasm32") => u64::from(u32::MAX),
            (None, available_bytes) => available_bytes,
        };
        let LoadRequest { context_tokens: wanted, kv_cache, memory_budget_bytes, .. } = *request;
        let (batch, catalog) = (batch_tokens(choice), &opened.catalog);
        let (context_tokens, weights_bytes_max) = match memory_budget_bytes {
            Some(budget_bytes) => {
                let planner = Planner::new(config, catalog, scoring).with_batches(batch).with_kv_cache(kv_cache);
                let fitted = planner.on_gpu(choice.adapter.is_some()).fit(wanted, budget_bytes)?;
                (fitted.context_tokens, Some(fitted.weights_bytes_max))
            }
            None => {
                let fits = memory::plan_context(batch, config, catalog, scoring, kv_cache, wanted, available_bytes)?;
                (fits, None)
            }
        };
        let device = self.open_device(choice).await?;
        let options = SessionOptions { context_tokens, scoring, kv_cache };
        let session = Session::load_within(device, opened, options, weights_bytes_max, progress).await?;
        self.keep_pipelines(session.device());
        Ok(session)
    }
}

/// What a person should know first.
fn notice(template: &ChatTemplate, session: &Session) -> Option<String> {
    let streams = session.placement().map(|placement| format!("For lack of memory {}.", streaming_words(placement)));
    let words: Vec<String> =
        template.is_transcript().then(|| NO_TEMPLATE.to_owned()).into_iter().chain(streams).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Where the memory of a session is.
fn memory_use(
    session: &Session,
    config: &ModelConfig,
    opened: &OpenedModel,
    request: &LoadRequest,
    is_gpu: bool,
) -> Result<MemoryUse> {
    let planner = Planner::new(config, &opened.catalog, session.can_score()).with_batches(session.prefill_tokens());
    let plan = planner.with_kv_cache(request.kv_cache).on_gpu(is_gpu).plan(session.context_tokens())?;
    let everything = session.device().units(&session.model().program);
    let resident = Placement { places: vec![None; everything.len()], ..Placement::default() };
    let resident = Placement { units: everything.into_iter().map(|(unit, _)| unit).collect(), ..resident };
    let placement = session.placement().unwrap_or(&resident);
    Ok(MemoryUse {
        budget_bytes: request.memory_budget_bytes,
        plan: placed_plan(&plan, placement),
        allocated_bytes: session.device().allocated_bytes(),
        resident_bytes: placement.resident_bytes(),
        streamed_bytes: placement.streamed_bytes(),
        slots_bytes: placement.slots_bytes(),
        components: components(&session.model().program, placement),
    })
}

/// Tokens of a prompt that the chosen device is given at once, at most, before it is known how fast it is.
pub(super) fn batch_tokens(choice: &Choice) -> u32 {
    if choice.adapter.is_none() { CPU_PREFILL_TOKENS } else { PREFILL_TOKENS_MAX }
}

/// Whether the CPU might do what failed.
fn gpu_is_to_blame(error: &Error) -> bool {
    matches!(
        error,
        Error::NoDevice { .. } | Error::DeviceLost { .. } | Error::DeviceFault { .. } | Error::OutOfMemory { .. }
    )
}

pub(super) fn route(gpu: bool) -> Route {
    match (cfg!(target_arch = "wasm32"), gpu) {
        (true, true) => Route::WebviewGpu,
        (true, false) => Route::WebviewCpu,
        (false, true) => Route::NativeGpu,
        (false, false) => Route::NativeCpu,
    }
}
