//! From a model's name to a model that is ready.

use super::{Emit, Ready, Runtime, Slot, probing};
use crate::{
    Error, Result,
    decode::{LoadProgress, Session, SessionOptions},
    device::{CpuDevice, Device, GpuDevice, GpuOptions},
    file::{OpenedModel, open_model},
    memory,
    model::ModelConfig,
    profile::{self, Choice},
    protocol::{DeviceChoice, Event, LoadRequest, LoadStage, Loaded, Loading, Route},
    text::{ChatTemplate, Tokenizer},
};

impl Runtime {
    /// Loads a model in place of the one before, which is freed first: two need not fit.
    pub(super) async fn load(
        &self,
        id: u32,
        request: LoadRequest,
        scoring: bool,
        emit: &mut Emit<'_>,
    ) -> Result<Loaded> {
        drop(self.take_idle()?);
        self.put(Slot::Busy);
        let result = self.load_anew(id, request, scoring, emit).await;
        match result {
            Ok(ready) => {
                let loaded = ready.loaded.clone();
                self.put(Slot::Ready(Box::new(ready)));
                Ok(loaded)
            }
            Err(error) => {
                self.put(Slot::Empty);
                Err(error)
            }
        }
    }

    async fn load_anew(&self, id: u32, request: LoadRequest, scoring: bool, emit: &mut Emit<'_>) -> Result<Ready> {
        let started_ms = self.platform.now_ms();
        let mut report = |stage, progress: LoadProgress| {
            let elapsed_ms = self.platform.now_ms() - started_ms;
            let LoadProgress { done_bytes, total_bytes } = progress;
            let listening = emit(Event::Loading(Loading { stage, done_bytes, total_bytes, elapsed_ms }));
            if !listening || self.cancellations.is_requested(id) { Err(Error::Cancelled) } else { Ok(()) }
        };
        report(LoadStage::Opening, LoadProgress::default())?;
        let location = self.platform.find_model(&request.model).await?;
        let opened = open_model(&*location.folder, location.file.as_deref()).await?;
        let config = ModelConfig::read(&opened.documents)?;
        let tokenizer = Tokenizer::from_documents(&opened.documents)?;
        let mut template = ChatTemplate::from_documents(&opened.documents)?;
        if let Some(template) = &mut template {
            template.set_now(self.platform.local_time());
        }
        let (adapters, absence) = probing::adapters(&*self.platform).await;
        let mut choice = profile::choose(request.device, &adapters, &absence)?;
        let total_bytes = opened.catalog.weights_bytes();
        report(LoadStage::Weights, LoadProgress { done_bytes: 0, total_bytes })?;
        let mut on_piece = |progress| report(LoadStage::Weights, progress);
        let mut session = self.open_session(&choice, &request, &opened, &config, scoring, &mut on_piece).await;
        if let (Err(error), DeviceChoice::Auto, Some(_)) = (&session, request.device, choice.adapter)
            && gpu_is_to_blame(error)
        {
            choice = Choice { adapter: None, reason: format!("the GPU could not be used: {error}") };
            session = self.open_session(&choice, &request, &opened, &config, scoring, &mut on_piece).await;
        }
        let session = session?;
        let loaded = Loaded {
            model: location.name,
            architecture: config.architecture.name.to_owned(),
            parameters: opened.catalog.parameters(),
            weights_bytes: total_bytes,
            context_tokens: session.context_tokens(),
            has_chat_template: template.is_some(),
            route: route(choice.adapter.is_some()),
            adapter: session.device().name(),
            reason: choice.reason,
            load_ms: self.platform.now_ms() - started_ms,
        };
        Ok(Ready { session, tokenizer, template, request, loaded })
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
        let available_bytes = if choice.adapter.is_none() { self.platform.memory().available_bytes } else { 0 };
        let wanted = request.context_tokens;
        let context_tokens = memory::plan_context(config, &opened.catalog, scoring, wanted, available_bytes)?;
        let device = match choice.adapter {
            Some(adapter) => {
                Device::Gpu(GpuDevice::open(&GpuOptions { adapter: Some(adapter), ..GpuOptions::default() }).await?)
            }
            None => Device::Cpu(CpuDevice::new(self.platform.workers())),
        };
        Session::load(device, opened, SessionOptions { context_tokens, scoring }, progress).await
    }
}

/// Whether the CPU might do what failed.
fn gpu_is_to_blame(error: &Error) -> bool {
    matches!(
        error,
        Error::NoDevice { .. } | Error::DeviceLost { .. } | Error::DeviceFault { .. } | Error::OutOfMemory { .. }
    )
}

fn route(gpu: bool) -> Route {
    match (cfg!(target_arch = "wasm32"), gpu) {
        (true, true) => Route::WebviewGpu,
        (true, false) => Route::WebviewCpu,
        (false, true) => Route::NativeGpu,
        (false, false) => Route::NativeCpu,
    }
}
