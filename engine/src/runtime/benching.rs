//! How fast a model is here: opens what is asked for, has it measured, and tells on what.

use super::{
    Emit, ModelLocation, Runtime, Slot,
    loading::{batch_tokens, route},
};
use crate::{
    Error, Result,
    bench::{Cases, Host, Measured, Runner, headline, open_shape, profile_of, shape_name},
    decode::{LoadProgress, Session, SessionOptions},
    device::Device,
    file::{BoxedFuture, OpenedModel, open_model},
    memory::{Planner, placed_plan},
    model::{EncoderConfig, ModelConfig},
    plan::Placement,
    profile::Choice,
    protocol::{
        BenchMachine, BenchReport, BenchRequest, BenchStart, BenchSubject, Benching, Event, LoadStage, Loading,
        ModelTask, PlanProfile,
    },
    tensor::KvFormat,
};

/// A model that is ready to be measured.
struct Started {
    session: Session,
    start: BenchStart,
}

/// What is measured.
struct Subject {
    name: String,
    opened: OpenedModel,
    config: ModelConfig,
    kv_cache: KvFormat,
    memory_budget_bytes: Option<u64>,
}

impl Runtime {
    /// Measures in place of whatever was ready, which is freed first: nothing else shall take memory or time.
    pub(super) async fn bench(&self, id: u32, request: &BenchRequest, emit: &mut Emit<'_>) -> Result<BenchReport> {
        self.clear()?;
        self.put(Slot::Busy);
        let report = self.measure(id, request, emit).await;
        self.put(Slot::Empty);
        report
    }

    async fn measure(&self, id: u32, request: &BenchRequest, emit: &mut Emit<'_>) -> Result<BenchReport> {
        let started_ms = self.platform.now_ms();
        let mut cases = Cases::of(request)?;
        let mut host = Watch { runtime: self, id, emit, gone: false };
        let subject = self.open_subject(request).await?;
        let made_for = subject.config.context_tokens;
        if !cases.skip_beyond(made_for, &format!("the model was made for {made_for}")) {
            return Err(Error::invalid("lengths", format!("are all beyond the model's {made_for} tokens of context")));
        }
        let wants_profile = request.profile.unwrap_or(true);
        let mut runner = Runner::new(&mut host, &cases, wants_profile);
        let mut measured = Measured::default();
        let weights_bytes = subject.opened.catalog.weights_bytes();
        let asked = cases.clone();
        let (mut started, choice) = self
            .open_on(request.device, async |choice| {
                cases = asked.clone();
                self.skip_what_does_not_fit(choice, &subject, &mut cases)?;
                let mut device = self.open_cold_device(choice).await?;
                [measured.copy, measured.read] = runner.bandwidth(&mut device, weights_bytes).await?;
                drop(device);
                self.start_to_measure(choice, &subject, &mut cases, &mut runner, false).await
            })
            .await?;
        let mut starts = vec![started.start];
        if request.warm_start.unwrap_or(false) {
            drop(started);
            started = self.start_to_measure(&choice, &subject, &mut cases, &mut runner, true).await?;
            starts.push(started.start);
        }
        let session = &mut started.session;
        runner.cases(session, &cases, &mut measured).await?;
        measured.fill_fractions();
        let times = if wants_profile { runner.profiles(session, &cases).await? } else { Some(Vec::new()) };
        let profile_absence = match &times {
            Some(_) if !wants_profile => Some("it was not asked for".to_owned()),
            Some(_) => None,
            None if session.placement().is_some() => Some("weights come and go while a step runs".to_owned()),
            None => Some("the GPU has no clock of its own: it lacks the feature timestamp-query".to_owned()),
        };
        let profile = times.unwrap_or_default().iter().map(profile_of).collect();
        let elapsed_ms = self.platform.now_ms() - started_ms;
        let about = About { choice, starts, cases, profile, profile_absence, elapsed_ms };
        self.report(subject, &started.session, measured, about)
    }

    async fn open_subject(&self, request: &BenchRequest) -> Result<Subject> {
        let (name, opened) = match &request.subject {
            BenchSubject::Shape { shape, format } => {
                let name = format!("{} {format}, random weights", shape_name(*shape));
                (name, open_shape(*shape, *format, request.seed.unwrap_or(1))?)
            }
            BenchSubject::Model { model } => {
                let ModelLocation { name, folder, file } = self.platform.find_model(model).await?;
                (name, open_model(&*folder, file.as_deref()).await?)
            }
        };
        if EncoderConfig::find(&opened.documents)?.is_some() {
            return Err(Error::WrongTask { model: name, wanted: ModelTask::Generate });
        }
        let config = ModelConfig::read(&opened.documents)?;
        let BenchRequest { kv_cache, memory_budget_bytes, .. } = *request;
        Ok(Subject { name, opened, config, kv_cache, memory_budget_bytes })
    }

    /// Only the CPU's memory is known beforehand; a GPU refuses what it cannot hold.
    fn skip_what_does_not_fit(&self, choice: &Choice, subject: &Subject, cases: &mut Cases) -> Result<()> {
        let available_bytes = if choice.adapter.is_none() { self.platform.memory().available_bytes } else { 0 };
        if available_bytes == 0 || subject.memory_budget_bytes.is_some() {
            return Ok(());
        }
        let mut planner =
            Planner::new(&subject.config, &subject.opened.catalog, false).with_batches(batch_tokens(choice));
        planner = planner.with_kv_cache(subject.kv_cache);
        loop {
            let context_tokens = cases.context_tokens();
            let requested_bytes = planner.plan(context_tokens)?.total_bytes;
            if requested_bytes <= available_bytes {
                return Ok(());
            }
            let what = format!("{} with {context_tokens} tokens of context", subject.name);
            let error = Error::OutOfMemory { what, requested_bytes, available_bytes };
            if !cases.skip_longest(&error.to_string()) {
                return Err(error);
            }
        }
    }

    /// Loads the model with room for the longest case that fits, and has it say its first token.
    async fn start_to_measure(
        &self,
        choice: &Choice,
        subject: &Subject,
        cases: &mut Cases,
        runner: &mut Runner<'_>,
        is_warm: bool,
    ) -> Result<Started> {
        loop {
            let before_ms = self.platform.now_ms();
            let device = if is_warm { self.open_device(choice).await? } else { self.open_cold_device(choice).await? };
            let opened_ms = self.platform.now_ms();
            match self.load_to_measure(device, subject, cases.context_tokens(), runner).await {
                Ok((mut session, prepared_ms)) => {
                    let loaded_ms = self.platform.now_ms();
                    self.keep_pipelines(session.device());
                    let first_inference_ms = runner.first_inference_ms(&mut session).await?;
                    let (open_ms, prepare_ms) = (opened_ms - before_ms, prepared_ms - opened_ms);
                    let weights_ms = loaded_ms - prepared_ms;
                    let first_token_ms = open_ms + prepare_ms + weights_ms + first_inference_ms;
                    let start = BenchStart { open_ms, prepare_ms, weights_ms, first_inference_ms, first_token_ms };
                    return Ok(Started { session, start });
                }
                Err(error @ Error::OutOfMemory { .. }) => {
                    if !cases.skip_longest(&error.to_string()) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A session, and when its device was prepared for the weights.
    async fn load_to_measure(
        &self,
        device: Device,
        subject: &Subject,
        context_tokens: u32,
        runner: &mut Runner<'_>,
    ) -> Result<(Session, f64)> {
        let mut prepared_ms = None;
        let options = SessionOptions { context_tokens, scoring: false, kv_cache: subject.kv_cache };
        let started_ms = runner.plan.started_ms;
        let weights_bytes_max = match subject.memory_budget_bytes {
            Some(budget_bytes) => {
                let planner = Planner::new(&subject.config, &subject.opened.catalog, false);
                let planner = planner.with_batches(device.prefill_tokens()).with_kv_cache(subject.kv_cache);
                let mut planner = planner.on_gpu(device.gpu_report().is_some());
                Some(planner.fit(Some(context_tokens), budget_bytes)?.weights_bytes_max)
            }
            None => None,
        };
        let opened = &subject.opened;
        let session = Session::load_within(
            device,
            opened,
            options,
            weights_bytes_max,
            &mut |LoadProgress { done_bytes, total_bytes }| {
                let elapsed_ms = self.platform.now_ms() - started_ms;
                prepared_ms.get_or_insert(self.platform.now_ms());
                runner.host.loading(Loading { stage: LoadStage::Weights, done_bytes, total_bytes, elapsed_ms });
                if runner.host.is_stopped() { Err(Error::Cancelled) } else { Ok(()) }
            },
        )
        .await?;
        Ok((session, prepared_ms.unwrap_or_default()))
    }

    fn report(&self, subject: Subject, session: &Session, measured: Measured, about: About) -> Result<BenchReport> {
        let About { choice, starts, cases, profile, profile_absence, elapsed_ms } = about;
        let Subject { name, opened, config, kv_cache, .. } = subject;
        let (prefill, decode) = headline(&measured);
        let planner = Planner::new(&config, &opened.catalog, false).with_batches(session.prefill_tokens());
        let mut planner = planner.with_kv_cache(kv_cache).on_gpu(choice.adapter.is_some());
        let mut memory = planner.plan(session.context_tokens())?;
        if let Some(placement) = session.placement() {
            memory = placed_plan(&memory, placement);
        }
        let batch_bytes = session.device().batch_bytes();
        memory.scratch_bytes += batch_bytes;
        memory.total_bytes += batch_bytes;
        // The result is copied to be read.
        let read_back_bytes = if choice.adapter.is_some() { u64::from(config.vocab_size) * 4 } else { 0 };
        Ok(BenchReport {
            name,
            architecture: config.architecture.name.to_owned(),
            parameters: opened.catalog.parameters(),
            weights_bytes: opened.catalog.weights_bytes(),
            context_tokens: session.context_tokens(),
            route: route(choice.adapter.is_some()),
            adapter: session.device().name(),
            reason: choice.reason,
            machine: BenchMachine {
                engine_version: env!("CARGO_PKG_VERSION").to_owned(),
                platform: self.platform.name(),
                cpu: self.platform.cpu(),
                gpu: session.device().gpu_report().cloned(),
            },
            cold_first_token_ms: starts.first().map_or(0.0, |start| start.first_token_ms),
            warm_first_token_ms: starts.get(1).map(|start| start.first_token_ms),
            starts,
            prefill_tokens_per_s: prefill.map(|result| result.tokens_per_s.median),
            decode_tokens_per_s: decode.map(|result| result.tokens_per_s.median),
            roofline_fraction: decode.map(|result| result.roofline_fraction),
            copy_bytes_per_s: measured.copy.median,
            read_bytes_per_s: measured.read.median,
            prefill: measured.prefill,
            decode: measured.decode,
            skipped: cases.skipped,
            peak_device_bytes: session.device().allocated_bytes() + read_back_bytes,
            peak_process_bytes: self.platform.peak_memory_bytes(),
            memory,
            streamed_bytes_per_token: session.placement().map(Placement::streamed_bytes),
            profile,
            profile_absence,
            elapsed_ms,
        })
    }
}

/// What a report tells beside the times.
struct About {
    choice: Choice,
    starts: Vec<BenchStart>,
    cases: Cases,
    profile: Vec<PlanProfile>,
    profile_absence: Option<String>,
    elapsed_ms: f64,
}

/// Whoever asked for a measurement, and may stop it.
struct Watch<'a, 'b> {
    runtime: &'a Runtime,
    id: u32,
    emit: &'a mut Emit<'b>,
    /// Nobody listens any more.
    gone: bool,
}

impl Host for Watch<'_, '_> {
    fn now_ms(&self) -> f64 {
        self.runtime.platform.now_ms()
    }

    fn is_stopped(&self) -> bool {
        self.gone || self.runtime.cancellations.is_requested(self.id)
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        self.runtime.platform.pause()
    }

    fn loading(&mut self, loading: Loading) {
        self.gone |= !(self.emit)(Event::Loading(loading));
    }

    fn progress(&mut self, progress: Benching) {
        self.gone |= !(self.emit)(Event::Benching(progress));
    }
}
