//! What a page or a worker gives the engine.

use std::{rc::Rc, sync::Arc};

use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;

use super::http::HttpFolder;
use crate::{
    Error, Result,
    device::{Serial, SimdLevel, Workers},
    file::BoxedFuture,
    protocol::{CpuReport, MemoryReport},
    runtime::{ModelLocation, Platform},
    text::LocalTime,
};

/// The model that stands for an empty name.
const BUNDLED_MODEL: &str = "hearth-tiny";

/// A page or a worker.
pub struct WebPlatform {
    allow_gpu: bool,
    model_base: String,
}

impl WebPlatform {
    /// `model_base` is the URL under which each model has a folder.
    pub fn new(allow_gpu: bool, model_base: String) -> Self {
        Self { allow_gpu, model_base: model_base.trim_end_matches('/').to_owned() }
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
        })
    }

    fn find_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<ModelLocation>> {
        Box::pin(async move {
            let model = if model.is_empty() { BUNDLED_MODEL } else { model };
            let (name, file) = match model.rsplit_once('/') {
                Some((folder, file)) if file.ends_with(".gguf") => (folder, Some(file.to_owned())),
                _ => (model, None),
            };
            // Part of a URL: nothing that could leave the folder or change the query.
            if name.split('/').any(|part| part.is_empty() || part == ".." || part.contains(['?', '#', '\\', '%'])) {
                return Err(Error::UnknownModel { model: model.to_owned(), available: BUNDLED_MODEL.to_owned() });
            }
            let folder = Rc::new(HttpFolder::new(format!("{}/{name}", self.model_base)));
            Ok(ModelLocation { name: name.to_owned(), folder, file })
        })
    }

    fn workers(&self) -> Arc<dyn Workers> {
        Arc::new(Serial)
    }

    fn cpu(&self) -> CpuReport {
        CpuReport {
            name: String::new(),
            simd: SimdLevel::detect().name().to_owned(),
            cores: navigator_number("hardwareConcurrency") as u32,
            threads: 1,
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
