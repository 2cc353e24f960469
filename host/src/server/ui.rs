//! The files of the user interface.

use std::{convert::Infallible, path::PathBuf};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_http::services::ServeDir;

/// What is said in place of an interface that is not there.
const NOT_BUILT: &str = "Hearth's engine is running here, but its user interface is not built.\n\n\
    Build it with `./hearth run`, or with `npm ci && npm run build` in ui/, and start `hearth serve` again;\n\
    or name a built one with `hearth serve --ui DIR`.\n";

pub(super) fn service(ui_dir: Option<PathBuf>) -> BoxCloneSyncService<Request<Body>, Response, Infallible> {
    let built = ui_dir.filter(|dir| dir.join("index.html").is_file());
    match built {
        Some(dir) => {
            let serve = move |request: Request<Body>| ServeDir::new(dir.clone()).oneshot(request);
            BoxCloneSyncService::new(service_fn(serve).map_response(IntoResponse::into_response))
        }
        None => BoxCloneSyncService::new(service_fn(|request: Request<Body>| async move {
            Ok(match request.uri().path() {
                "/" | "/index.html" => {
                    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
                    (StatusCode::SERVICE_UNAVAILABLE, plain, NOT_BUILT).into_response()
                }
                _ => StatusCode::NOT_FOUND.into_response(),
            })
        })),
    }
}
