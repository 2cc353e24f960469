//! A host for the engine that is all in memory: a clock that counts, models that are given, memory that is claimed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use hearth_engine::{
    Error, Result,
    device::{Serial, Workers},
    file::{BoxedFuture, MemoryFolder},
    protocol::{CpuReport, DeviceChoice, Event, GenerateRequest, LoadRequest, MemoryReport, Prompt, Request, Sampling},
    runtime::{ModelLocation, Platform, Runtime},
    tensor::KvFormat,
    text::LocalTime,
};

use crate::files;

/// The platform.
#[derive(Default)]
pub struct TestPlatform {
    ticks: Cell<u32>,
    models: RefCell<BTreeMap<String, (MemoryFolder, Option<String>)>>,
    /// What the platform says is free; 0 says nothing.
    pub available_bytes: Cell<u64>,
    /// Compiled shaders, by name.
    pub kept: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl TestPlatform {
    /// Makes a model known by a name.
    pub fn add(&self, name: &str, folder: MemoryFolder, file: Option<&str>) {
        self.models.borrow_mut().insert(name.to_owned(), (folder, file.map(str::to_owned)));
    }
}

impl Platform for TestPlatform {
    fn now_ms(&self) -> f64 {
        self.ticks.set(self.ticks.get() + 1);
        f64::from(self.ticks.get())
    }

    fn local_time(&self) -> Option<LocalTime> {
        None
    }

    fn random_seed(&self) -> u32 {
        self.ticks.get()
    }

    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn find_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<ModelLocation>> {
        let found = self.models.borrow().get(model).cloned();
        let location = found.map(|(folder, file)| ModelLocation { name: model.into(), folder: Rc::new(folder), file });
        Box::pin(std::future::ready(
            location.ok_or_else(|| Error::UnknownModel { model: model.into(), available: String::new() }),
        ))
    }

    fn workers(&self) -> Arc<dyn Workers> {
        Arc::new(Serial)
    }

    fn cpu(&self) -> CpuReport {
        CpuReport { cores: 1, threads: 1, ..CpuReport::default() }
    }

    fn memory(&self) -> MemoryReport {
        MemoryReport { total_bytes: self.available_bytes.get(), available_bytes: self.available_bytes.get() }
    }

    fn kept_pipelines(&self, name: &str) -> Option<Vec<u8>> {
        self.kept.borrow().get(name).cloned()
    }

    fn keep_pipelines(&self, name: &str, bytes: &[u8]) {
        self.kept.borrow_mut().insert(name.to_owned(), bytes.to_vec());
    }

    fn name(&self) -> String {
        "test".into()
    }

    fn gpu_allowed(&self) -> bool {
        true
    }
}

/// A runtime with its platform, and short ways to ask it.
pub struct Host {
    /// What it runs on.
    pub platform: Rc<TestPlatform>,
    /// What answers.
    pub runtime: Runtime,
}

impl Default for Host {
    fn default() -> Self {
        let platform = Rc::new(TestPlatform::default());
        Self { runtime: Runtime::new(Rc::clone(&platform) as Rc<dyn Platform>), platform }
    }
}

impl Host {
    /// With one of the repository's models loaded under its path.
    pub fn with_model(path: &str, device: DeviceChoice, context_tokens: Option<u32>) -> Self {
        Self::with_cache(path, device, context_tokens, KvFormat::default())
    }

    /// With keys and values cached so: golden tokens are those of F32.
    pub fn with_cache(path: &str, device: DeviceChoice, context_tokens: Option<u32>, kv_cache: KvFormat) -> Self {
        let host = Self::default();
        let (folder, file) = files::model(path);
        host.platform.add(path, folder, file.as_deref());
        let model = path.into();
        let event = last(host.ask(Request::Load(LoadRequest {
            model,
            device,
            context_tokens,
            kv_cache,
            ..LoadRequest::default()
        })));
        assert!(matches!(event, Event::Loaded(_)), "{event:?}");
        host
    }

    /// All events of a request.
    pub fn ask(&self, request: Request) -> Vec<Event> {
        self.ask_while(request, |_| true)
    }

    /// All events of a request, whose listener leaves by returning false.
    pub fn ask_while(&self, request: Request, mut listens: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        pollster::block_on(self.runtime.handle(1, request, &mut |event| {
            let goes_on = listens(&event);
            events.push(event);
            goes_on
        }));
        let ends = events.iter().filter(|event| event.is_terminal()).count();
        assert!(ends == 1 && events.last().is_some_and(Event::is_terminal), "one end, and at the end: {events:?}");
        events
    }

    /// Loads a model; the last event.
    pub fn load(&self, model: &str, device: DeviceChoice, context_tokens: Option<u32>) -> Event {
        last(self.ask(Request::Load(LoadRequest {
            model: model.into(),
            device,
            context_tokens,
            ..LoadRequest::default()
        })))
    }

    /// Continues a text; all events.
    pub fn complete(&self, text: &str, max_tokens: Option<u32>, sampling: Sampling) -> Vec<Event> {
        self.ask(complete(text, max_tokens, sampling))
    }
}

/// A request to continue a text.
pub fn complete(text: &str, max_tokens: Option<u32>, sampling: Sampling) -> Request {
    let prompt = Prompt::Text { text: text.into() };
    Request::Generate(GenerateRequest { prompt, max_tokens, sampling, ..GenerateRequest::default() })
}

/// The last of some events.
pub fn last(events: Vec<Event>) -> Event {
    events.into_iter().last().expect("there is always an end")
}

/// The tokens of some events.
pub fn ids(events: &[Event]) -> Vec<u32> {
    events.iter().filter_map(|event| if let Event::Token { id, .. } = event { Some(*id) } else { None }).collect()
}

/// The text of some events.
pub fn text(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|event| if let Event::Token { text, .. } = event { Some(text.as_str()) } else { None })
        .collect()
}
