//! The engine in a web page or a worker: the only place that knows wasm-bindgen.

mod chosen;
mod http;
mod platform;
mod threads;

use std::rc::Rc;

use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::{
    device::PageAdapter,
    protocol::{Event, EventEnvelope, Failure, RequestEnvelope},
    runtime::Runtime,
};
use platform::WebPlatform;

/// What `WebEngine.create` takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    /// Whether WebGPU may be used.
    allow_gpu: bool,
    /// The URL under which each model has a folder.
    model_base: String,
    /// What the page found out about its GPU.
    #[serde(default)]
    adapter: PageAdapter,
}

/// The engine, for JavaScript. It speaks the protocol in JSON texts.
#[wasm_bindgen]
pub struct WebEngine {
    runtime: Rc<Runtime>,
    platform: Rc<WebPlatform>,
}

#[wasm_bindgen]
impl WebEngine {
    /// Makes an engine. `options` is `{ allowGpu: boolean, modelBase: string, adapter?: { name: string, features: string[] } }`.
    pub async fn create(options: JsValue) -> Result<WebEngine, JsError> {
        std::panic::set_hook(Box::new(|panic| platform::log_error(&panic.to_string())));
        let text = js_sys::JSON::stringify(&options).map_err(|_| JsError::new("the options are no object"))?;
        let Options { allow_gpu, model_base, adapter } = serde_json::from_str(&String::from(text))?;
        let platform = Rc::new(WebPlatform::new(allow_gpu, model_base, adapter));
        Ok(WebEngine { runtime: Rc::new(Runtime::new(platform.clone())), platform })
    }

    /// Takes in files that a person chose, each with its path; `add_model` with the key as its path lists them. With a
    /// name they are listed at once.
    #[wasm_bindgen(js_name = offerFiles)]
    pub fn offer_files(&self, key: String, name: Option<String>, paths: Vec<String>, files: Vec<web_sys::Blob>) {
        self.platform.chosen.offer(key, name, &paths, files);
    }

    /// Answers one `RequestEnvelope`; `on_event` gets each `EventEnvelope`. Resolves after the last.
    pub fn handle(&self, request: String, on_event: js_sys::Function) -> js_sys::Promise {
        let runtime = self.runtime.clone();
        wasm_bindgen_futures::future_to_promise(async move {
            let send = |id, event: Event| {
                // Events are plain data: they always have a JSON text.
                let text = serde_json::to_string(&EventEnvelope { id, event }).unwrap_or_default();
                on_event.call1(&JsValue::NULL, &text.into()).is_ok()
            };
            match serde_json::from_str::<RequestEnvelope>(&request) {
                Ok(RequestEnvelope { id, request }) => {
                    runtime.handle(id, request, &mut |event| send(id, event)).await;
                }
                Err(error) => {
                    let id = serde_json::from_str::<serde_json::Value>(&request)
                        .ok()
                        .and_then(|value| value["id"].as_u64())
                        .map_or(0, |id| id as u32);
                    let error = crate::Error::invalid("request", format!("is not understood: {error}"));
                    send(id, Event::Failed(Failure::from(&error)));
                }
            }
            Ok(JsValue::UNDEFINED)
        })
    }
}
