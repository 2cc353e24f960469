//! A URI scheme of the app's own that gives the web view the files of models, in ranges: over Tauri's commands a
//! gigabyte would take minutes (docs/decisions/0004-models-over-a-scheme.md).

use std::thread;

use hearth_host::ModelStore;
use tauri::{
    UriSchemeResponder,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};

/// `hearth-model://localhost/<model>/<file>`; on Windows and Android `http://hearth-model.localhost/<model>/<file>`.
pub const SCHEME: &str = "hearth-model";

/// Answers a request on a thread of its own, since the caller's is the window's.
pub fn serve(store: ModelStore, request: Request<Vec<u8>>, responder: UriSchemeResponder) {
    thread::spawn(move || responder.respond(answer(&store, &request)));
}

/// The page's origin differs from the scheme's, so the browser asks whether it may read, and isolation asks once more.
fn answer(store: &ModelStore, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let mut response = if request.method() == Method::OPTIONS {
        let mut preflight = Response::new(Vec::new());
        *preflight.status_mut() = StatusCode::NO_CONTENT;
        preflight
    } else {
        hearth_host::respond(store, request)
    };
    share(response.headers_mut());
    response
}

fn share(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("range"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("accept-ranges, content-length, content-range"),
    );
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn get(path: &str, range: Option<&str>) -> Response<Vec<u8>> {
        let store = ModelStore::new([Path::new(env!("CARGO_MANIFEST_DIR")).join("models")]);
        let mut request = Request::builder().uri(format!("{SCHEME}://localhost/{path}"));
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        answer(&store, &request.body(Vec::new()).expect("the request is well formed"))
    }

    #[test]
    fn a_range_of_the_weights_is_given_and_may_be_read_by_the_page() {
        let response = get("hearth-tiny/model.safetensors", Some("bytes=0-7"));
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        let header_bytes = u64::from_le_bytes(response.body().as_slice().try_into().expect("8 bytes were asked for"));
        assert!((2..1 << 20).contains(&header_bytes), "a safetensors file begins with its header's length");
        for name in ["access-control-allow-origin", "cross-origin-resource-policy", "content-range"] {
            assert!(response.headers().contains_key(name), "{name} is missing");
        }
    }

    #[test]
    fn nothing_but_models_is_given() {
        for path in
            ["hearth-tiny/../registry.json", "../Cargo.toml", "hearth-tiny/training/train.py", "nobody/config.json"]
        {
            assert_eq!(get(path, None).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
