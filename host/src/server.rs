//! The loopback server: the user interface, the models' files, and the engine over a WebSocket.

mod guard;
mod link;
mod ui;

use std::{future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State, WebSocketUpgrade},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use hearth_engine::{Error, protocol};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use crate::{CONTENT_BYTES_MAX, EngineHandle};
pub use guard::AllowedNames;

/// What a page served here may do. It needs no `unsafe-inline` and reaches no other server.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; \
    base-uri 'none'; frame-ancestors 'none'";

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The built user interface. None: only the engine and the models are served.
    pub ui_dir: Option<PathBuf>,
    /// By which names the server may be called.
    pub allowed: AllowedNames,
    /// The longest request that is read.
    pub message_bytes_max: usize,
    /// How often a silent client is asked whether it is still there; it is given up after two such times.
    pub ping_every: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            ui_dir: None,
            allowed: AllowedNames::default(),
            // A conversation that fills a context of a million tokens, or the largest document in Base64.
            message_bytes_max: CONTENT_BYTES_MAX as usize / 3 * 4 + (1 << 20),
            ping_every: Duration::from_secs(20),
        }
    }
}

#[derive(Clone)]
struct Shared {
    engine: EngineHandle,
    message_bytes_max: usize,
    ping_every: Duration,
}

/// All routes, with the checks and the headers that belong to each answer.
pub fn router(engine: EngineHandle, options: ServerOptions) -> Router {
    let ServerOptions { ui_dir, allowed, message_bytes_max, ping_every } = options;
    Router::new()
        .route("/healthz", get(health))
        .route("/v1/link", get(open_link))
        .route("/models/registry.json", get(registry))
        .route("/models/{*path}", get(model_file))
        .with_state(Shared { engine, message_bytes_max, ping_every })
        .fallback_service(ui::service(ui_dir))
        .layer(middleware::from_fn_with_state(std::sync::Arc::new(allowed), guard::guard))
}

/// Answers on a listener until `stop` is ready, then lets open answers end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// The address of a listener as a page would call it.
pub fn url_of(address: SocketAddr) -> String {
    format!("http://{address}/")
}

async fn health() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Json(serde_json::json!({ "status": "ok", "version": version, "protocol": protocol::VERSION })).into_response()
}

async fn open_link(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Response {
    let max = shared.message_bytes_max;
    upgrade
        .max_message_size(max)
        .max_frame_size(max)
        .on_upgrade(move |socket| link::run(socket, shared.engine.client(), shared.ping_every))
}

async fn registry(State(shared): State<Shared>) -> Response {
    match shared.engine.models().registry() {
        Ok(registry) => Json(registry).into_response(),
        Err(error) => refusal(&error),
    }
}

/// One file of a model, whole or in ranges.
async fn model_file(State(shared): State<Shared>, Path(path): Path<String>, request: Request) -> Response {
    let (model, file) = path.split_once('/').unwrap_or((&path, ""));
    match shared.engine.models().file(model, file) {
        Ok(Some(path)) => match ServeFile::new(path).oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        },
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> Response {
    let status = match error {
        Error::UnknownModel { .. } => StatusCode::NOT_FOUND,
        other => {
            tracing::error!(error = %other, "a model could not be served");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, Json(protocol::Failure::from(error))).into_response()
}
