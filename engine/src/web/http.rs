//! Model files over HTTP, in ranges.

use std::{ops::Range, rc::Rc};

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, RequestInit, Response};

use crate::{
    Error, Result,
    file::{BoxedFuture, ByteSource, Folder},
};

/// The longest document that is asked for as a whole.
const DOCUMENT_MAX_BYTES: u64 = 1 << 20;

/// A folder behind a URL.
pub struct HttpFolder {
    url: String,
}

impl HttpFolder {
    /// Without a slash at the end.
    pub fn new(url: String) -> Self {
        Self { url }
    }

    /// A document that the server writes anew each time, and so gives whole; `None` if there is none.
    pub async fn text(&self, name: &str) -> Result<Option<String>> {
        let response = get(&format!("{}/{name}", self.url), name, 0..DOCUMENT_MAX_BYTES).await?;
        if !response.ok() {
            return Ok(None);
        }
        let text = response.text().map_err(|error| describe(name, &error))?;
        let text = JsFuture::from(text).await.map_err(|error| describe(name, &error))?;
        Ok(text.as_string())
    }
}

impl Folder for HttpFolder {
    fn name(&self) -> &str {
        &self.url
    }

    fn open<'a>(&'a self, name: &'a str) -> BoxedFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move {
            let url = format!("{}/{name}", self.url);
            let response = get(&url, name, 0..1).await?;
            match response.status() {
                404 => Ok(None),
                // An empty file has no first byte; the header still tells its length.
                206 | 416 => match total_of(&response) {
                    Some(len_bytes) => {
                        Ok(Some(Rc::new(HttpFile { url, name: name.to_owned(), len_bytes }) as Rc<dyn ByteSource>))
                    }
                    None => Err(failed(name, "the server does not say how long the file is")),
                },
                200 => Err(failed(name, "the server ignores ranges, which loading in pieces needs")),
                status => Err(failed(name, format!("the server answered {status} {}", response.status_text()))),
            }
        })
    }
}

/// A file behind a URL.
struct HttpFile {
    url: String,
    name: String,
    len_bytes: u64,
}

impl ByteSource for HttpFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            if range.end > self.len_bytes || range.start > range.end {
                let file = self.name.clone();
                return Err(Error::Truncated { file, needed_bytes: range.end, available_bytes: self.len_bytes });
            }
            if range.is_empty() {
                return Ok(Vec::new());
            }
            let response = get(&self.url, &self.name, range.clone()).await?;
            if response.status() != 206 {
                return Err(failed(&self.name, format!("the server answered {} to a range", response.status())));
            }
            if total_of(&response) != Some(self.len_bytes) {
                return Err(failed(&self.name, "the file changed while it was read"));
            }
            let body = response.array_buffer().map_err(|error| describe(&self.name, &error))?;
            let body = JsFuture::from(body).await.map_err(|error| describe(&self.name, &error))?;
            let bytes = js_sys::Uint8Array::new(&body).to_vec();
            if bytes.len() as u64 != range.end - range.start {
                let available_bytes = range.start + bytes.len() as u64;
                return Err(Error::Truncated { file: self.name.clone(), needed_bytes: range.end, available_bytes });
            }
            Ok(bytes)
        })
    }
}

/// Asks for a range.
async fn get(url: &str, name: &str, range: Range<u64>) -> Result<Response> {
    let describe = |error: JsValue| describe(name, &error);
    let headers = Headers::new().map_err(describe)?;
    headers.set("Range", &format!("bytes={}-{}", range.start, range.end.saturating_sub(1))).map_err(describe)?;
    let init = RequestInit::new();
    init.set_headers(&headers);
    let request = Request::new_with_str_and_init(url, &init).map_err(describe)?;
    let global = js_sys::global();
    let fetch: js_sys::Function = js_sys::Reflect::get(&global, &"fetch".into())
        .map_err(describe)?
        .dyn_into()
        .map_err(|_| failed(name, "this page cannot fetch"))?;
    let promise: js_sys::Promise = fetch.call1(&global, &request).map_err(describe)?.unchecked_into();
    JsFuture::from(promise).await.map_err(describe)?.dyn_into().map_err(|_| failed(name, "fetch gave no response"))
}

/// The file's length, from `Content-Range: bytes 0-0/1234`.
fn total_of(response: &Response) -> Option<u64> {
    response.headers().get("Content-Range").ok()??.rsplit('/').next()?.trim().parse().ok()
}

fn failed(name: &str, reason: impl Into<String>) -> Error {
    Error::Io { file: name.to_owned(), reason: reason.into() }
}

pub(super) fn describe(name: &str, error: &JsValue) -> Error {
    let text = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    failed(name, text.unwrap_or_else(|| format!("{error:?}")))
}
