//! Model files for a web view that runs the engine itself: in ranges, and nothing but model files.

use std::ops::Range;

use hearth_engine::{Error, Result};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::{DiskFile, ModelStore, models::REGISTRY_FILE};

/// Some bytes of a model's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where they lie in the file.
    pub range: Range<u64>,
    /// How long the whole file is.
    pub file_bytes: u64,
}

/// A whole file is given without a range up to this size; a longer one must be asked for in ranges.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// Reads a range of a file of a model that has a name; the whole file without one. A range that begins within the file
/// and ends beyond it is cut to the file, as HTTP has it.
pub fn read_model_file(store: &ModelStore, model: &str, file: &str, range: Option<Range<u64>>) -> Result<ModelBytes> {
    let opened = open(store, model, file)?.ok_or_else(|| Error::MissingFile { file: file.to_owned() })?;
    let file_bytes = opened.len_bytes();
    let range = range.map_or(0..file_bytes, |range| range.start..range.end.min(file_bytes.max(range.start)));
    let bytes = opened.read_range(range.clone())?;
    Ok(ModelBytes { bytes, range, file_bytes })
}

fn open(store: &ModelStore, model: &str, file: &str) -> Result<Option<DiskFile>> {
    match store.file(model, file)? {
        Some(path) => DiskFile::open(&path, file),
        None => Ok(None),
    }
}

/// Answers an HTTP request for `/<model>/<file>` or `/registry.json`, with or without a `/models` in front: for a
/// custom URI scheme. Understands GET, HEAD and one range of bytes.
pub fn respond<B>(store: &ModelStore, request: &Request<B>) -> Response<Vec<u8>> {
    let mut response = answer(store, request).unwrap_or_else(|status| {
        let mut response = Response::new(status.canonical_reason().unwrap_or_default().as_bytes().to_vec());
        *response.status_mut() = status;
        response
    });
    if request.method() == Method::HEAD {
        response.body_mut().clear();
    }
    response
}

fn answer<B>(store: &ModelStore, request: &Request<B>) -> std::result::Result<Response<Vec<u8>>, StatusCode> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = path.strip_prefix("models/").unwrap_or(path);
    if path == REGISTRY_FILE {
        let registry = store.registry().map_err(|error| status_of(&error))?;
        let body = serde_json::to_vec(&registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        return Ok(with_type(Response::new(body), "application/json"));
    }
    let path = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| StatusCode::NOT_FOUND)?;
    let (model, name) = path.split_once('/').ok_or(StatusCode::NOT_FOUND)?;
    let file = open(store, model, name).map_err(|error| status_of(&error))?.ok_or(StatusCode::NOT_FOUND)?;
    let content_type = mime_guess::from_path(name).first_or_octet_stream();
    Ok(with_type(ranged(&file, request)?, content_type.essence_str()))
}

fn ranged<B>(file: &DiskFile, request: &Request<B>) -> std::result::Result<Response<Vec<u8>>, StatusCode> {
    let file_bytes = file.len_bytes();
    let header = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    // A range that is not understood is ignored, as RFC 9110, section 14.2 has it.
    let asked = header.and_then(|text| http_range_header::parse_range_header(text).ok());
    let (status, range) = match asked.map(|asked| asked.validate(file_bytes)) {
        None if file_bytes > WHOLE_BYTES_MAX && request.method() == Method::GET => {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        None => (StatusCode::OK, 0..file_bytes),
        Some(Ok(ranges)) if ranges.len() == 1 => {
            let (first, last) = (*ranges[0].start(), *ranges[0].end());
            (StatusCode::PARTIAL_CONTENT, first..last + 1)
        }
        Some(_) => {
            let mut response = Response::new(Vec::new());
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            put(&mut response, header::CONTENT_RANGE, format!("bytes */{file_bytes}"));
            return Ok(response);
        }
    };
    let length_bytes = range.end - range.start;
    let body = if request.method() == Method::HEAD { Vec::new() } else { read(file, range.clone())? };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    put(&mut response, header::ACCEPT_RANGES, "bytes".to_owned());
    put(&mut response, header::CONTENT_LENGTH, length_bytes.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let (first, last) = (range.start, range.end - 1);
        put(&mut response, header::CONTENT_RANGE, format!("bytes {first}-{last}/{file_bytes}"));
    }
    Ok(response)
}

fn read(file: &DiskFile, range: Range<u64>) -> std::result::Result<Vec<u8>, StatusCode> {
    file.read_range(range).map_err(|error| status_of(&error))
}

fn with_type(mut response: Response<Vec<u8>>, content_type: &str) -> Response<Vec<u8>> {
    put(&mut response, header::CONTENT_TYPE, content_type.to_owned());
    response
}

fn put(response: &mut Response<Vec<u8>>, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::UnknownModel { .. } | Error::MissingFile { .. } => StatusCode::NOT_FOUND,
        other => {
            tracing::error!(error = %other, "a model file could not be served");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
