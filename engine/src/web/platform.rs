//! What a page or a worker gives the engine.

use std::{cell::Cell, rc::Rc, sync::Arc};

use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;

use serde::Deserialize;

use super::{chosen::ChosenFiles, http::HttpFolder, threads};
use crate::{
    Error, Result,
    device::{PageAdapter, Serial, SimdLevel, Workers},
    file::BoxedFuture,
    protocol::{CpuReport, ListedModel, MemoryReport, ModelList},
    runtime::{ModelLocation, Platform},
    text::LocalTime,
};

/// The model that stands for an empty name.
const BUNDLED_MODEL: &str = "hearth-tiny";

/// Messages wait so long at most while the engine computes. Looking for them takes a tenth of a millisecond, and a small
/// model makes a token in less than one.
const PAUSE_EVERY_MS: f64 = 8.0;

/// What `registry.json` says, beside the models' folders.
#[derive(Default, Deserialize)]
struct Registry {
    bundled: Option<String>,
    #[serde(default)]
    models: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    description: String,
    file: Option<String>,
}

/// A page or a worker.
pub struct WebPlatform {
    /// Files that a person chose.
    pub chosen: ChosenFiles,
    allow_gpu: bool,
    model_base: String,
    adapter: PageAdapter,
    paused_ms: Cell<f64>,
}

impl WebPlatform {
    /// `model_base` is the URL under which each model has a folder.
    pub fn new(allow_gpu: bool, model_base: String, adapter: PageAdapter) -> Self {
        let model_base = model_base.trim_end_matches('/').to_owned();
        Self { chosen: ChosenFiles::default(), allow_gpu, model_base, adapter, paused_ms: Cell::new(0.0) }
    }

    /// The models that the page's server offers. A server without a list still has the bundled model.
    async fn registry(&self) -> Registry {
        let text = HttpFolder::new(self.model_base.clone()).text("registry.json").await.ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

impl Platform for WebPlatform {
    fn now_ms(&self) -> f64 {
        global("performance")
            .and_then(|performance| {
                js_sys::Reflect::get(&performance, &"now".into()).ok().map(|now| (performance, now))
            })
            .and_then(|(performance, now)| now.dyn_into::<js_sys::Function>().ok()?.call0(&performance).ok())
            .and_then(|now| now.as_f64())
            .unwrap_or_else(js_sys::Date::now)
    }

    fn local_time(&self) -> Option<LocalTime> {
        let now = js_sys::Date::new_0();
        Some(LocalTime {
            year: i32::try_from(now.get_full_year()).ok()?,
            month: now.get_month() as u8 + 1,
            day: now.get_date() as u8,
            hour: now.get_hours() as u8,
            minute: now.get_minutes() as u8,
            second: now.get_seconds() as u8,
        })
    }

    fn random_seed(&self) -> u32 {
        (js_sys::Math::random() * f64::from(u32::MAX)) as u32
    }

    /// A message to ourselves: unlike a timer, which browsers slow down to 4 ms, it comes at once.
    fn pause(&self) -> BoxedFuture<'_, ()> {
        Box::pin(async {
            if self.now_ms() - self.paused_ms.get() < PAUSE_EVERY_MS {
                return;
            }
            let Ok(channel) = web_sys::MessageChannel::new() else { return };
            let arrived = js_sys::Promise::new(&mut |resolve, _| {
                let resolve = Closure::once_into_js(move || {
                    // It only fails if the promise is gone, and then nobody waits.
                    let _ = resolve.call0(&JsValue::NULL);
                });
                channel.port1().set_onmessage(Some(resolve.unchecked_ref()));
            });
            if channel.port2().post_message(&JsValue::NULL).is_ok() {
                // The promise never rejects.
                let _ = JsFuture::from(arrived).await;
            }
            channel.port1().close();
            self.paused_ms.set(self.now_ms());
        })
    }

    fn find_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<ModelLocation>> {
        Box::pin(async move {
            if let Some(chosen) = self.chosen.find(model)? {
                return Ok(chosen);
            }
            let (name, file) = match model.rsplit_once('/') {
                Some((folder, file)) if file.ends_with(".gguf") => (folder.to_owned(), Some(file.to_owned())),
                _ => {
                    let registry = self.registry().await;
                    let bundled = registry.bundled.unwrap_or_else(|| BUNDLED_MODEL.to_owned());
                    let name = if model.is_empty() { bundled } else { model.to_owned() };
                    let listed = registry.models.into_iter().find(|entry| entry.name == name);
                    (name, listed.and_then(|entry| entry.file))
                }
            };
            // Part of a URL: nothing that could leave the folder or change the query.
            if name.split('/').any(|part| part.is_empty() || part == ".." || part.contains(['?', '#', '\\', '%'])) {
                return Err(Error::UnknownModel { model: model.to_owned(), available: BUNDLED_MODEL.to_owned() });
            }
            let folder = Rc::new(HttpFolder::new(format!("{}/{name}", self.model_base)));
            Ok(ModelLocation { name, folder, file })
        })
    }

    fn models(&self) -> BoxedFuture<'_, Result<ModelList>> {
        Box::pin(async {
            let Registry { bundled, models } = self.registry().await;
            let bundled = Some(bundled.unwrap_or_else(|| BUNDLED_MODEL.to_owned()));
            let served = models.into_iter().map(|Entry { name, description, .. }| ListedModel {
                name,
                description,
                ..ListedModel::default()
            });
            let mut models: Vec<ListedModel> = served.collect();
            if models.is_empty() {
                models.push(ListedModel { name: BUNDLED_MODEL.to_owned(), ..ListedModel::default() });
            }
            models.extend(self.chosen.list());
            Ok(ModelList { bundled, models, can_add: true })
        })
    }

    fn add_model<'a>(&'a self, path: &'a str) -> BoxedFuture<'a, Result<String>> {
        Box::pin(async move {
            let mut taken: Vec<String> = self.registry().await.models.into_iter().map(|entry| entry.name).collect();
            taken.push(BUNDLED_MODEL.to_owned());
            self.chosen.add(path, &taken)
        })
    }

    fn remove_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<()>> {
        let removed = self.chosen.remove(model);
        let names: Vec<String> = self.chosen.list().into_iter().map(|listed| listed.name).collect();
        let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let unknown = || Error::UnknownModel { model: model.to_owned(), available };
        Box::pin(std::future::ready(if removed { Ok(()) } else { Err(unknown()) }))
    }

    fn workers(&self) -> Arc<dyn Workers> {
        threads::crew().unwrap_or_else(|| Arc::new(Serial))
    }

    fn cpu(&self) -> CpuReport {
        CpuReport {
            name: String::new(),
            simd: SimdLevel::detect().name().to_owned(),
            cores: navigator_number("hardwareConcurrency") as u32,
            threads: self.workers().count() as u32,
        }
    }

    fn memory(&self) -> MemoryReport {
        // In GiB, rounded and capped by the browser; absent in some.
        let total_bytes = (navigator_number("deviceMemory") * f64::from(1 << 30)) as u64;
        MemoryReport { total_bytes, available_bytes: 0 }
    }

    fn name(&self) -> String {
        "wasm32".into()
    }

    fn page_adapter(&self) -> PageAdapter {
        self.adapter.clone()
    }

    fn gpu_allowed(&self) -> bool {
        self.allow_gpu && global("navigator").is_some_and(|navigator| has(&navigator, "gpu"))
    }
}

/// A property of the global object: the same in pages and workers.
fn global(name: &str) -> Option<JsValue> {
    js_sys::Reflect::get(&js_sys::global(), &name.into()).ok().filter(|value| !value.is_undefined())
}

fn has(object: &JsValue, name: &str) -> bool {
    js_sys::Reflect::get(object, &name.into()).is_ok_and(|value| !value.is_undefined() && !value.is_null())
}

fn navigator_number(name: &str) -> f64 {
    global("navigator")
        .and_then(|navigator| js_sys::Reflect::get(&navigator, &name.into()).ok())
        .and_then(|value| value.as_f64())
        .unwrap_or(0.0)
}

/// Writes to the browser's console.
pub fn log_error(message: &str) {
    let Some(console) = global("console") else { return };
    if let Some(error) =
        js_sys::Reflect::get(&console, &"error".into()).ok().and_then(|error| error.dyn_into::<js_sys::Function>().ok())
    {
        // There is nowhere else to complain to.
        let _ = error.call1(&console, &message.into());
    }
}
